package conf_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/countersign/countersign/conf"
)

func TestTheDropInMakesContainerdRequireAndCallCountersign(t *testing.T) {
	var got map[string]any
	if err := toml.Unmarshal(file(t, "containerd.toml"), &got); err != nil {
		t.Fatal(err)
	}
	// Every other setting is unset; tolerate_missing_plugins_annotation must be.
	want := map[string]any{
		"version": int64(3),
		"plugins": map[string]any{
			"io.containerd.nri.v1.nri": map[string]any{
				"disable": false,
				"default_validator": map[string]any{
					"enable": true, "required_plugins": []any{"countersign"},
				},
			},
			"io.containerd.image-verifier.v1.bindir": map[string]any{"bin_dir": "/opt/containerd/image-verifier/bin"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheSocketOfTheImageServiceOutlivesTheService(t *testing.T) {
	unit, service := string(file(t, "countersign-cri.socket")), string(file(t, "countersign.service"))
	for _, line := range []string{
		"ListenStream=/run/countersign/cri.sock", "SocketMode=0600", "Service=countersign.service", "Before=kubelet.service",
		"WantedBy=sockets.target",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the socket has no line %s", line)
		}
	}
	// systemd removes the runtime directory of a service that stops, and the socket with it.
	if !strings.Contains(service, "\nRuntimeDirectoryPreserve=yes\n") {
		t.Error("the service does not preserve its runtime directory")
	}
	if _, err := conf.Parse("config.toml", []byte("[cri_proxy]\nsocket = \"/run/countersign/cri.sock\"\n")); err != nil {
		t.Errorf("the configuration does not accept the path: %v", err)
	}
}

func TestTheServiceMayWriteWhereTheConfigurationSays(t *testing.T) {
	unit := string(file(t, "countersign.service"))
	config := conf.Default()
	var writable []string
	for line := range strings.Lines(unit) {
		if paths, found := strings.CutPrefix(strings.TrimSpace(line), "ReadWritePaths="); found {
			writable = strings.Fields(paths)
		}
	}
	for _, path := range []string{
		config.Evidence.Directory, config.StateFile(), config.ClusterStateFile(), config.Listen.Socket,
	} {
		if !slices.Contains(writable, filepath.Dir(path)) {
			t.Errorf("%s is written by default, and the service may write in %v only", path, writable)
		}
	}
	for _, line := range []string{
		"Type=notify", "Restart=always", "StartLimitIntervalSec=0", "ProtectSystem=strict", "NoNewPrivileges=yes",
		"After=containerd.service network.target", "Before=kubelet.service", "ExecStart=/usr/local/bin/countersign run",
		`ExecReload=/bin/sh -c "kill -HUP $MAINPID"`, "RestartPreventExitStatus=78",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the service has no line %s", line)
		}
	}
}

// TestTheServiceIsLimited: the garbage collector works harder before the kernel slows the daemon down, and the kernel
// slows it down before it ends it: docs/decisions/0063.
func TestTheServiceIsLimited(t *testing.T) {
	const collector = 1024 * 3 / 8 // MiB, of MemoryMax: plugin/daemon.
	unit := string(file(t, "countersign.service"))
	last, lastName := collector, "what the garbage collector aims at"
	for _, limit := range []struct {
		line string
		mib  int
	}{{"MemoryHigh=768M", 768}, {"MemoryMax=1G", 1024}} {
		if !strings.Contains(unit, "\n"+limit.line+"\n") {
			t.Errorf("the service has no line %s", limit.line)
		}
		if limit.mib*4 < last*5 {
			t.Errorf("%s is too near to %s", limit.line, lastName)
		}
		last, lastName = limit.mib, limit.line
	}
	if strings.Contains(unit, "GOMEMLIMIT=") {
		t.Error("the service sets GOMEMLIMIT, which then does not follow MemoryMax")
	}
	for _, line := range []string{"TasksMax=512", "OOMScoreAdjust=-998"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the service has no line %s", line)
		}
	}
}
