package lifecycle_test

import (
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

func TestLifecycle(t *testing.T) {
	w := &workshop{rig.NewWorkshop(t)}
	t.Run("namespaces share a node", w.namespaces)
	t.Run("policies fail", w.policies)
	t.Run("the runtime fails", w.runtimes)
	t.Run("the daemon fails", w.daemons)
	t.Run("a person asks", w.checks)
}
