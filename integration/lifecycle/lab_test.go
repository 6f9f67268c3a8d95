package lifecycle_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// The namespaces of every node: strict requires a signature by the key, loose accepts everything, and plain has no
// document, so the system policy applies, which requires a signature too.
const (
	strict = "strict"
	loose  = "loose"
	plain  = "plain"
)

// workshop is shared by the groups.
type workshop struct{ *rig.Workshop }

// lab is one node with its registry and its daemon.
type lab struct{ *rig.Rig }

// newLab boots a node, and configures the daemon without starting it.
func (w *workshop) newLab(t *testing.T, daemon node.DaemonConfig) *lab {
	t.Helper()
	l := &lab{w.NewRig(t, node.NewRegistry(t, w.Distribution()))}
	l.Write(t, "", l.signatures())
	l.Write(t, strict, l.signatures())
	l.Write(t, loose, accepting())
	l.Daemon = l.PrepareDaemon(t, daemon)
	return l
}

func (l *lab) signatures() node.Policy { return node.Policy{Default: node.Cosign(l.Key.Public)} }

func accepting() node.Policy { return node.Policy{Default: node.Accept()} }

func (l *lab) restart(t *testing.T) {
	t.Helper()
	rig.OK(t, l.Daemon.Restart(t.Context()))
}

func (l *lab) sign(t *testing.T, pushed node.Pushed, recursive bool) {
	t.Helper()
	rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{Image: pushed, Key: l.Key, OldFormat: true, Recursive: recursive}))
}

func (l *lab) signed(t *testing.T, name string) node.Pushed {
	t.Helper()
	pushed := l.Push(t, name)
	l.sign(t, pushed, false)
	return pushed
}
