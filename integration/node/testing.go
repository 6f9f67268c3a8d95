package node

import (
	"context"
	"os"
	"testing"
)

// NewTools returns the tools for a test. If no node can be booted on this machine, it skips the test, or fails it if
// the environment variable CI is true: a CI run without these tests must not pass.
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

// Start boots a node for a test, and builds the tools if the configuration has none. When the test ends, the node is
// closed; if the test failed, the node's logs are printed.
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

// NewRegistry starts a registry for a test. When the test ends, it is closed; if the test failed, its log is printed.
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

// NewDaemon starts countersign on a node for a test, and waits until it is registered. When the test ends, the daemon
// is terminated; if the test failed, its log is printed.
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

// PrepareDaemon is like NewDaemon, but the test starts the daemon.
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
		// The context of the test is already cancelled.
		if err := daemon.Terminate(context.Background()); err != nil {
			t.Errorf("countersign, asked to end: %v\n%s", err, tail(daemon.LogFile()))
		}
	})
	return daemon
}
