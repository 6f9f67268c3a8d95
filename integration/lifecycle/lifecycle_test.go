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
	for _, group := range []struct {
		name string
		test func(*testing.T, *workshop)
	}{
		{"namespaces share a node", namespaces},
		{"policies fail", policies},
		{"the runtime fails", runtimes},
		{"the daemon fails", daemons},
		{"a person asks", checks},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			group.test(t, w)
		})
	}
}
