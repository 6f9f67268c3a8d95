package nri_test

import (
	"errors"
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

const installedName = "10-countersign"

func TestInstalledPlugin(t *testing.T) {
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
	c.awaitPlugin(t)
	err = c.create(request())
	if err == nil || !strings.Contains(err.Error(), `"10-countersign" rejected`) ||
		!strings.HasSuffix(err.Error(), "(unknown-origin)") {
		t.Errorf("err = %v, want the installed plugin's refusal", err)
	}
}

// started is a plugin as containerd starts it: its connection is an open file that the environment names. It returns
// containerd's end.
func started(t *testing.T, handler *nri.Handler) (*subject, *bare) {
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
	t.Setenv(api.PluginIdxEnvVar, "42")
	t.Setenv(api.PluginSocketEnvVar, strconv.Itoa(descriptor))
	runtime := serveBare(t, trunk)
	return start(t, "/nonexistent/nri.sock", handler), runtime
}

func TestInstalledPluginEndsWithItsRuntime(t *testing.T) {
	handler, _ := newHandler()
	s, runtime := started(t, handler)
	if request := await(t, runtime.registered, "a registration"); request.GetPluginIdx() != "42" {
		t.Errorf("registered with index %q, want the one in its file's name", request.GetPluginIdx())
	}
	runtime.configure(t)
	runtime.synchronize(t)
	s.awaitRegistered(t, true)
	runtime.die()
	await(t, s.ended, "Run to return")
	if !errors.Is(s.err, nri.ErrConnectionLost) {
		t.Errorf("Run returned %v, want ErrConnectionLost", s.err)
	}
	awaitNothingRuns(t)
}

func TestInstalledPluginEndsWithRuntimeThatNeverConfigured(t *testing.T) {
	handler, _ := newHandler()
	s, runtime := started(t, handler)
	await(t, runtime.registered, "a registration")
	runtime.die()
	await(t, s.ended, "Run to return")
	if !errors.Is(s.err, nri.ErrConnectionLost) {
		t.Errorf("Run returned %v, want ErrConnectionLost", s.err)
	}
	awaitNothingRuns(t)
}

func TestInstalledPluginIsStopped(t *testing.T) {
	handler, _ := newHandler()
	s, runtime := started(t, handler)
	await(t, runtime.registered, "a registration")
	runtime.configure(t)
	runtime.synchronize(t)
	s.stop(t)
	if s.err != nil {
		t.Errorf("Run returned %v", s.err)
	}
	awaitNothingRuns(t)
}
