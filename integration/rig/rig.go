package rig

import (
	"sync/atomic"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// Workshop is what rigs have in common: the program, and the key that signs.
type Workshop struct {
	Program string
	Key     node.Key

	tools *node.Tools
}

// NewWorkshop builds countersign and makes a key, for as long as the test runs.
func NewWorkshop(t testing.TB) *Workshop {
	t.Helper()
	w := &Workshop{tools: node.NewTools(t)}
	w.Program = w.Build(t, "./plugin/countersign")
	w.Key = w.NewKey(t, "operator")
	return w
}

// Build builds a program of this repository and returns its path.
func (w *Workshop) Build(t testing.TB, name string) string {
	t.Helper()
	return Must(w.tools.BuildProgram(t.Context(), name, t.TempDir(), false))(t)
}

// NewKey makes one more key.
func (w *Workshop) NewKey(t testing.TB, name string) node.Key {
	t.Helper()
	return Must(w.tools.GenerateKey(t.Context(), t.TempDir(), name))(t)
}

// Distribution is a registry without the referrers API.
func (w *Workshop) Distribution() node.RegistryConfig { return node.RegistryConfig{Tools: w.tools} }

// Rig is a node whose containerd creates no container without countersign, and the registry that it pulls from.
type Rig struct {
	*node.Node
	*Workshop
	// Registry is nil where the node was booted without one: see With.
	Registry *node.Registry
	// Daemon is nil until a test has one: see PrepareDaemon.
	Daemon *node.Daemon

	numbers *atomic.Int64
}

// NewRig boots a node.
func (w *Workshop) NewRig(t testing.TB, registry *node.Registry) *Rig {
	t.Helper()
	return &Rig{
		Node:     node.Start(t, node.Config{Tools: w.tools, RequiredPlugins: []string{"countersign"}}),
		Workshop: w, Registry: registry, numbers: new(atomic.Int64),
	}
}

// With is the same node with another registry.
func (r *Rig) With(registry *node.Registry) *Rig {
	with := *r
	with.Registry = registry
	return &with
}

// Number is one that nobody else was given on this node.
func (r *Rig) Number() int64 { return r.numbers.Add(1) }

// PrepareDaemon configures a daemon that ends with the test, by the workshop's program. It is not started.
func (r *Rig) PrepareDaemon(t testing.TB, config node.DaemonConfig) *node.Daemon {
	t.Helper()
	config.Program = r.Program
	return node.PrepareDaemon(t, r.Node, config)
}

// Start starts the rig's daemon and waits until it is registered.
func (r *Rig) Start(t testing.TB) {
	t.Helper()
	OK(t, r.Daemon.Start())
	OK(t, r.Daemon.Ready(t.Context()))
}

// Write writes the policy of a namespace, or that of the system for the empty one.
func (r *Rig) Write(t testing.TB, namespace string, policy node.Policy) {
	t.Helper()
	OK(t, r.WritePolicy(namespace, policy.JSON()))
}
