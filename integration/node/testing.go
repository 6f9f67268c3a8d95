package node

import (
	"context"
	"os"
	"testing"
)

// NewTools returns the tools for a test. It skips where no node can be booted, and fails if the environment variable
// CI is true there: a CI that runs none of this must not be green.
func NewTools(t testing.TB) *Tools {
	t.Helper()
	if err := Supported(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this test needs a node, and in CI it must run: %v", err)
		}
		t.Skipf("SKIPPED, AND NOTHING WAS TESTED: %v", err)
	}
	tools, err := BuildTools(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return tools
}

// Start boots a node for a test, with tools of its own accord where the configuration has none. The node goes when the
// test ends; if it failed, its logs are shown.
func Start(t testing.TB, config Config) *Node {
	t.Helper()
	if config.Tools == nil {
		config.Tools = NewTools(t)
	}
	node, err := Boot(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of containerd:\n%s", tail(node.ContainerdLog()))
		}
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

// NewRegistry starts a registry for a test, which goes when the test ends; if it failed, its log is shown.
func NewRegistry(t testing.TB, config RegistryConfig) *Registry {
	t.Helper()
	registry, err := StartRegistry(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, err := registry.Log()
			t.Logf("log of the registry: %v\n%s", err, text[max(0, len(text)-most):])
		}
		if err := registry.Close(); err != nil {
			t.Error(err)
		}
	})
	return registry
}

// NewDaemon starts countersign on a node for a test and waits until it is registered. It ends with the test; if that
// failed, its log is shown.
func NewDaemon(t testing.TB, node *Node, config DaemonConfig) *Daemon {
	t.Helper()
	daemon := PrepareDaemon(t, node, config)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return daemon
}

// PrepareDaemon is NewDaemon but for the start, which is the test's.
func PrepareDaemon(t testing.TB, node *Node, config DaemonConfig) *Daemon {
	t.Helper()
	daemon, err := node.NewDaemon(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of countersign:\n%s", tail(daemon.LogFile()))
		}
		// Not with the test's context, which is over.
		if err := daemon.Terminate(context.Background()); err != nil {
			t.Errorf("countersign, asked to end: %v\n%s", err, tail(daemon.LogFile()))
		}
	})
	return daemon
}
