package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
)

func (l *lab) registryDown(t *testing.T) {
	signed, unsigned := l.signed(t, "shop/kept:v1"), l.push(t, "shop/kept-unsigned:v1")
	never := l.signed(t, "shop/never:v1")
	l.runs(t, strict, signed)
	l.refused(t, strict, unsigned, "unsigned")
	// The daemon would fetch what there is as soon as the image comes.
	no(t, l.daemon.Terminate(t.Context()))
	l.pull(t, never)
	no(t, l.registry.Stop())
	defer func() { no(t, l.registry.Start(context.WithoutCancel(t.Context()))) }()
	l.start(t)
	check := func(t *testing.T) {
		t.Helper()
		l.runs(t, "added", signed)
		l.refused(t, "added", unsigned, "unsigned")
		decision := l.refused(t, "added", never, "unavailable")
		if !strings.Contains(decision.Detail, "refused") {
			t.Errorf("the record does not tell the cause: %v", decision.Record)
		}
	}
	t.Run("a namespace added afterwards", func(t *testing.T) {
		added := l.signatures()
		added.Default, added.Scopes = node.Reject(), map[string]node.Requirement{l.registry.Host: added.Default}
		l.write(t, "added", added)
		l.awaitLoaded(t, "added")
		check(t)
	})
	t.Run("after a restart of the daemon", func(t *testing.T) {
		l.restart(t)
		check(t)
	})
}

// lateSignature is refused first and signed then. What waits for it asks every second: a kubelet does every ten, and
// would only be later to notice.
func (l *lab) lateSignature(t *testing.T) {
	late := l.push(t, "shop/late:v1")
	l.refused(t, strict, late, "unsigned")
	base := l.begin(t, strict, l.signed(t, "shop/late-base:v1"))
	l.sign(t, late, false)
	pushed := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		err := l.another(ctx, base, late)
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
	decision, err := l.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Reference == late.Reference && d.Outcome == "admit"
	})
	no(t, err)
	admitted := moment(t, decision)
	t.Logf("it was admitted %s after it was signed", admitted.Sub(pushed).Round(time.Millisecond))
	if admitted.Sub(pushed) > 30*time.Second {
		t.Errorf("it took %s", admitted.Sub(pushed))
	}
}
