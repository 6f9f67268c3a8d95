package rig

import (
	"sync/atomic"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// Workshop is shared by rigs: the program, and the key that signs.
type Workshop struct {
	Program string
	Key     node.Key

	tools *node.Tools
}

// NewWorkshop builds countersign and generates a key; both are removed when the test ends.
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

// NewKey generates another key.
func (w *Workshop) NewKey(t testing.TB, name string) node.Key {
	t.Helper()
	return Must(w.tools.GenerateKey(t.Context(), t.TempDir(), name))(t)
}

// Distribution configures a registry without the referrers API.
func (w *Workshop) Distribution() node.RegistryConfig { return node.RegistryConfig{Tools: w.tools} }

// Rig is a node whose containerd requires countersign, and the node's registry.
type Rig struct {
	*node.Node
	*Workshop
	// Registry is nil if the node was booted without one: see With.
	Registry *node.Registry
	// Daemon is nil until the test prepares one: see PrepareDaemon.
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

// On returns a rig of a node that was booted with a configuration of its own.
func (w *Workshop) On(n *node.Node, registry *node.Registry) *Rig {
	return &Rig{Node: n, Workshop: w, Registry: registry, numbers: new(atomic.Int64)}
}

// With returns the same node with another registry.
func (r *Rig) With(registry *node.Registry) *Rig {
	with := *r
	with.Registry = registry
	return &with
}

// Number returns a number that is unique on this node.
func (r *Rig) Number() int64 { return r.numbers.Add(1) }

// PrepareDaemon configures a daemon with the workshop's program, but does not start it. It is terminated when the test
// ends.
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

// Write writes the policy of a namespace, or the system policy if the namespace is empty.
func (r *Rig) Write(t testing.TB, namespace string, policy node.Policy) {
	t.Helper()
	OK(t, r.WritePolicy(namespace, policy.JSON()))
}
