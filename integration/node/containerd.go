package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// sandboxImage is the name under which the pause image is imported. No registry has it, so a node boots without one.
const sandboxImage = "countersign.test/pause:1"

// loopbackNetwork is the network of pods that do not use the host's.
const loopbackNetwork = `{"cniVersion": "1.0.0", "name": "loopback",
  "plugins": [{"type": "loopback"}, {"type": "address"}]}`

// addressPlugin is a CNI plugin that claims to have given a pod an address, without which containerd starts no pod. No
// test uses it, and a real plugin would change the network of this machine.
const addressPlugin = `#!/bin/sh
case "$CNI_COMMAND" in
ADD) printf '{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "%s"}],
  "ips": [{"address": "192.0.2.1/32", "interface": 0}]}' "$CNI_NETNS" ;;
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}' ;;
esac
`

// prepare writes the files that containerd needs for its first start.
func (n *Node) prepare(ctx context.Context) error {
	// The root of a user namespace, which is nobody here, must reach its root filesystem.
	if err := os.Chmod(n.directory.path, 0o711); err != nil { //nolint:gosec // As containerd's own directories.
		return fmt.Errorf("preparing containerd: %w", err)
	}
	files := map[string]string{"cni/net.d/10-loopback.conflist": loopbackNetwork}
	for name, contents := range n.config.DropIns {
		files[filepath.Join("conf.d", name)] = contents
	}
	for name, contents := range files {
		if err := n.directory.write(name, []byte(contents)); err != nil {
			return err
		}
	}
	// Logs are in a separate directory, because countersign watches the directories above its policies.
	for _, name := range []string{"log", "conf.d", "certs.d", "verifiers", "nri/plugins", "nri/conf.d", "cni/bin", "s"} {
		if err := os.MkdirAll(n.directory.join(name), 0o700); err != nil {
			return fmt.Errorf("preparing containerd: %w", err)
		}
	}
	if err := os.Symlink(n.Tools.Path("loopback"), n.directory.join("cni/bin/loopback")); err != nil {
		return fmt.Errorf("preparing containerd: %w", err)
	}
	plugin := n.directory.join("cni/bin/address")
	if err := os.WriteFile(plugin, []byte(addressPlugin), 0o700); err != nil { //nolint:gosec // It is a program.
		return fmt.Errorf("preparing containerd: %w", err)
	}
	return n.useRelease(ctx, n.config.Containerd)
}

// StartContainerd starts containerd, if it does not run, with the existing state, and waits until its CRI is ready.
func (n *Node) StartContainerd(ctx context.Context) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.containerd != nil && n.containerd.exited() == nil {
		return nil
	}
	process, err := start(program{
		path:        filepath.Join(n.release.directory, "containerd"),
		arguments:   []string{"--config", n.ContainerdConfig()},
		environment: append([]string{"PATH=" + n.programs(), "OTEL_TRACES_EXPORTER=none"}, n.config.Environment...),
		directory:   n.directory.path, output: n.ContainerdLog(),
	})
	if err != nil {
		return err
	}
	n.containerd = process
	if err := n.CRI.ready(ctx, process.exited); err != nil {
		return fmt.Errorf("%w\n%s", err, tail(n.ContainerdLog()))
	}
	return nil
}

// programs returns where containerd looks for programs.
func (n *Node) programs() string {
	path := n.release.directory + ":" + n.Tools.Directory + ":" + os.Getenv("PATH")
	if n.config.Programs != "" {
		path = n.config.Programs + ":" + path
	}
	return path
}

// StopContainerd stops containerd. Containers keep running.
func (n *Node) StopContainerd(ctx context.Context) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.containerd == nil {
		return nil
	}
	stopping := n.containerd
	n.containerd = nil
	return stopping.stop(ctx, grace)
}

// KillContainerd kills containerd with SIGKILL.
func (n *Node) KillContainerd() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.containerd == nil {
		return
	}
	n.containerd.kill()
	n.containerd = nil
}

// RestartContainerd stops containerd and starts it again.
func (n *Node) RestartContainerd(ctx context.Context) error {
	if err := n.StopContainerd(ctx); err != nil {
		return err
	}
	return n.StartContainerd(ctx)
}

// Ctr runs ctr in the namespace k8s.io and returns its standard output.
func (n *Node) Ctr(ctx context.Context, arguments ...string) (string, error) {
	always := []string{"--address", n.ContainerdSocket(), "--namespace", "k8s.io"}
	n.mutex.Lock()
	ctr := filepath.Join(n.release.directory, "ctr")
	n.mutex.Unlock()
	return output(ctx, n.directory.path, ctr, append(always, arguments...)...)
}

// importSandboxImage imports the pause image and waits until the CRI plugin knows it, which learns of it from an event.
func (n *Node) importSandboxImage(ctx context.Context) error {
	image, err := n.Tools.Image("pause")
	if err != nil {
		return err
	}
	reference, err := name.NewTag(sandboxImage)
	if err != nil {
		return fmt.Errorf("naming the pause image: %w", err)
	}
	archive := n.directory.join("pause.tar")
	if err := tarball.WriteToFile(archive, reference, image); err != nil {
		return fmt.Errorf("writing the pause image: %w", err)
	}
	if _, err := n.Ctr(ctx, "images", "import", archive); err != nil {
		return err
	}
	return until(ctx, "the pause image", func(ctx context.Context) error {
		id, err := n.CRI.ImageID(ctx, sandboxImage)
		if err == nil && id == "" {
			err = errors.New("it is not known")
		}
		return err
	})
}
