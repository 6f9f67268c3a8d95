package install

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/countersign/countersign/plugin/install/journal"
)

// standardConfig is the file that containerd reads if its command line names none.
const standardConfig = "/etc/containerd/config.toml"

// distribution is how a distribution of Kubernetes configures containerd.
type distribution struct {
	// main is containerd's main configuration file.
	main string
	// template is the file from which the distribution renders the main file; empty: the main file is edited.
	template string
	// generated says how the main file is changed, if the distribution writes it at each boot and no template exists.
	generated string
	// units are the systemd units that may run containerd.
	units []string
	// address is containerd's socket; empty: the default.
	address string
	// hosts is containerd's config_path; empty: the default.
	hosts string
}

// rancher returns how k3s and RKE2 configure containerd.
func rancher(directory string, units ...string) distribution {
	etc := path.Join(directory, "agent/etc/containerd")
	return distribution{
		main:     path.Join(etc, "config.toml"),
		template: path.Join(etc, "config-v3.toml.tmpl"),
		units:    units,
		address:  "/run/k3s/containerd/containerd.sock",
		hosts:    path.Join(etc, "certs.d"),
	}
}

// allUnits returns the units that may run containerd on any host.
func allUnits() []string {
	return []string{
		"containerd.service", "k3s.service", "k3s-agent.service", "rke2-server.service", "rke2-agent.service",
	}
}

// detect returns how containerd is configured on a host, or why it cannot be configured there.
func detect(host *journal.Host) (distribution, error) {
	id, err := osID(host)
	if err != nil {
		return distribution{}, err
	}
	switch id {
	case "bottlerocket", "talos":
		return distribution{}, fmt.Errorf("%s has a read-only root file system and generates containerd's configuration: "+
			"countersign cannot be installed there; see docs/install.md", id)
	case "cos":
		return distribution{}, errors.New("Container-Optimized OS discards /etc at each boot and runs no program from a " +
			"writable file system: use a node image with Ubuntu; see docs/install.md")
	}
	exists := func(path string) bool {
		names, err := host.Names(path)
		return err == nil && len(names) > 0
	}
	switch {
	case exists("/var/lib/rancher/rke2/agent/etc/containerd"):
		return rancher("/var/lib/rancher/rke2", "rke2-server.service", "rke2-agent.service"), nil
	case exists("/var/lib/rancher/k3s/agent/etc/containerd"):
		return rancher("/var/lib/rancher/k3s", "k3s.service", "k3s-agent.service"), nil
	}
	standard := distribution{main: standardConfig, units: []string{"containerd.service"}}
	if _, err := host.ReadFile("/usr/bin/nodeadm"); err == nil {
		standard.generated = "nodeadm writes it at each boot: set spec.containerd.config of the NodeConfig in the node's " +
			"user data to imports = [\"/etc/containerd/conf.d/*.toml\"], and install on the new node"
	}
	return standard, nil
}

// osID returns ID of /etc/os-release; empty if there is none.
func osID(host *journal.Host) (string, error) {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		contents, err := host.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		lines := bufio.NewScanner(bytes.NewReader(contents))
		for lines.Scan() {
			if id, found := strings.CutPrefix(lines.Text(), "ID="); found {
				return strings.Trim(id, `"'`), nil
			}
		}
	}
	return "", nil
}
