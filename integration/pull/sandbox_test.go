package pull_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// pause is the sandbox image of the harness's nodes.
const pause = "countersign.test/pause:1"

// sandbox starts a daemon whose policy refuses the image without which no pod starts: it reports this before the image
// is pulled.
func (w *workshop) sandbox(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), nil)
	l.Start(t)
	record := rig.Logged(t, l.Daemon, "", "sandbox", pause, "rejected")[0]
	if record["level"] != "ERROR" {
		t.Errorf("it is not said loudly: %v", record)
	}
	accepting := l.signatures()
	accepting.Scopes["countersign.test/pause"] = node.Accept()
	l.Write(t, "", accepting)
	rig.Logged(t, l.Daemon, "", "admits the sandbox image", pause, "accepted")
}
