package pull_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// pause is the sandbox image of the harness's nodes.
const pause = "countersign.test/pause:1"

// sandbox starts a daemon whose policy refuses the image without which no pod starts: it reports this before the image
// is pulled, and then no pod starts.
func (w *workshop) sandbox(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), nil)
	l.Start(t)
	record := rig.Logged(t, l.Daemon, "", "sandbox", pause, "rejected")[0]
	if record["level"] != "ERROR" {
		t.Errorf("it is not said loudly: %v", record)
	}
	// The node's own copy is removed, so that it has to be pulled.
	rig.OK(t, l.WriteHosts("countersign.test", node.MirrorOf(l.Registry)))
	rig.Must(l.Registry.Push(t.Context(), "pause:1", l.Image(t, "pause")))(t)
	signed := l.signed(t, "shop/signed:v1", bundle)
	l.Pull(t, signed)
	rig.OK(t, l.CRI.RemoveImage(t.Context(), pause))
	pod, err := l.RunPod(t.Context(), l.Pod(prod, signed))
	if err == nil {
		rig.OK(t, pod.Remove(t.Context()))
	}
	if !rig.IsRefused(err, "rejected") || !strings.Contains(err.Error(), pause) {
		t.Errorf("a pod that needs the sandbox image says: %v", err)
	}
	accepting := l.signatures()
	accepting.Scopes["countersign.test/pause"] = node.Accept()
	l.Write(t, "", accepting)
	rig.Logged(t, l.Daemon, "", "admits the sandbox image", pause, "accepted")
	l.Begin(t, prod, signed)
}
