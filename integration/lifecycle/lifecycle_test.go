package lifecycle_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// workshop is what the groups share: programs, and the key that signs.
type workshop struct {
	tools   *node.Tools
	program string
	key     node.Key
}

func TestLifecycle(t *testing.T) {
	tools := node.NewTools(t)
	w := &workshop{
		tools:   tools,
		program: must(tools.BuildProgram(t.Context(), "./plugin/countersign", t.TempDir(), false))(t),
		key:     must(tools.GenerateKey(t.Context(), t.TempDir(), "operator"))(t),
	}
	t.Run("namespaces share a node", w.namespaces)
	t.Run("policies fail", w.policies)
	t.Run("the runtime fails", w.runtimes)
	t.Run("the daemon fails", w.daemons)
	t.Run("a person asks", w.checks)
}
