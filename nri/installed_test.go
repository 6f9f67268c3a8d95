package nri_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/nri/pkg/api"
	nrinet "github.com/containerd/nri/pkg/net"

	"github.com/countersign/countersign/nri"
)

const (
	installedName   = "10-countersign"
	installedReason = "it registers through the socket"
)

// TestTheInstalledPluginIsNotTheRequiredOne: containerd starts the program, which declines. Containers are refused
// until the daemon has registered, and decided by it afterwards.
func TestTheInstalledPluginIsNotTheRequiredOne(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := newContainerd(t)
	plugins := filepath.Join(c.dir, "plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(plugins, installedName)); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	if err := c.create(request()); err == nil || !strings.Contains(err.Error(), `"countersign" not present`) {
		t.Fatalf("err = %v, want that the required plugin is missing", err)
	}
	handler, _ := newHandler()
	start(t, c.socket(), handler)
	c.awaitPlugin(t)
	if err := c.create(request()); err != nil {
		t.Errorf("with the daemon: %v", err)
	}
}

// started is a program as containerd starts it: its connection is an open file that the environment names. It returns
// containerd's end.
func started(t *testing.T) *bare {
	t.Helper()
	pair, err := nrinet.NewSocketPair()
	if err != nil {
		t.Fatal(err)
	}
	trunk, err := pair.LocalConn()
	if err != nil {
		t.Fatal(err)
	}
	// The plugin closes the descriptor it is given, so no one else may use it.
	descriptor, err := syscall.Dup(int(pair.PeerFile().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	pair.PeerClose()
	t.Setenv(api.PluginNameEnvVar, "countersign")
	t.Setenv(api.PluginIdxEnvVar, "10")
	t.Setenv(api.PluginSocketEnvVar, strconv.Itoa(descriptor))
	return serveBare(t, trunk)
}

// decline calls Decline, and returns what it will return.
func decline(t *testing.T) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- nri.Decline(t.Context(), installedReason) }()
	return ended
}

func TestDeclineTellsContainerdWhy(t *testing.T) {
	runtime := started(t)
	if !nri.StartedByContainerd() {
		t.Error("StartedByContainerd is false")
	}
	ended := decline(t)
	await(t, runtime.registered, "a registration")
	_, err := runtime.plugin.Configure(t.Context(), &api.ConfigureRequest{RuntimeName: "containerd"})
	if err == nil || !strings.Contains(err.Error(), installedReason) {
		t.Errorf("containerd receives %v, want the reason", err)
	}
	runtime.die()
	if err := await(t, ended, "Decline to return"); err != nil {
		t.Errorf("Decline returned %v", err)
	}
}

func TestDeclineEndsWithItsRuntime(t *testing.T) {
	runtime := started(t)
	ended := decline(t)
	runtime.die()
	if err := await(t, ended, "Decline to return"); err == nil {
		t.Errorf("Decline returned %v, want that it failed", err)
	}
}
