package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (l *lab) registryDown(t *testing.T) {
	signed, unsigned := l.signed(t, "shop/kept:v1"), l.Push(t, "shop/kept-unsigned:v1")
	never := l.signed(t, "shop/never:v1")
	l.runs(t, strict, signed)
	l.Refused(t, strict, unsigned, "unsigned")
	// Otherwise the daemon would fetch the signatures when the image appears.
	rig.OK(t, l.Daemon.Terminate(t.Context()))
	l.Pull(t, never)
	rig.OK(t, l.Registry.Stop())
	defer func() { rig.OK(t, l.Registry.Start(context.WithoutCancel(t.Context()))) }()
	l.Start(t)
	check := func(t *testing.T) {
		t.Helper()
		l.runs(t, "added", signed)
		l.Refused(t, "added", unsigned, "unsigned")
		decision := l.Refused(t, "added", never, "unavailable")
		if !strings.Contains(decision.Detail, "refused") {
			t.Errorf("the record does not tell the cause: %v", decision.Record)
		}
	}
	t.Run("a namespace added afterwards", func(t *testing.T) {
		added := l.signatures()
		added.Default, added.Scopes = node.Reject(), map[string]node.Requirement{l.Registry.Host: added.Default}
		l.Write(t, "added", added)
		l.awaitLoaded(t, "added")
		check(t)
	})
	t.Run("after a restart of the daemon", func(t *testing.T) {
		l.restart(t)
		check(t)
	})
}

// lateSignature is refused first and signed then. The test retries every second; a kubelet retries every ten and would
// only notice later.
func (l *lab) lateSignature(t *testing.T) {
	late := l.Push(t, "shop/late:v1")
	l.Refused(t, strict, late, "unsigned")
	base := l.Begin(t, strict, l.signed(t, "shop/late-base:v1"))
	l.sign(t, late, false)
	pushed := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		err := l.Another(ctx, base, late)
		if err == nil {
			break
		}
		l.says(t, err, "unsigned")
		select {
		case <-ctx.Done():
			t.Fatalf("it is still refused: %v", err)
		case <-again.C:
		}
	}
	decision, err := l.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Reference == late.Reference && d.Outcome == "admit"
	})
	rig.OK(t, err)
	admitted := moment(t, decision)
	t.Logf("it was admitted %s after it was signed", admitted.Sub(pushed).Round(time.Millisecond))
	if admitted.Sub(pushed) > 30*time.Second {
		t.Errorf("it took %s", admitted.Sub(pushed))
	}
}
