package policy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
)

func TestACachedDecisionAllocatesNothing(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	decider := n.decider(t)
	q, ctx := ask(tagged), t.Context()
	wantReason(t, decider.Decide(ctx, q), policy.Accepted)
	if allocated := testing.AllocsPerRun(1000, func() { decider.Decide(ctx, q) }); allocated != 0 {
		t.Errorf("a cached decision allocates %v times, want 0", allocated)
	}
}

// BenchmarkDecideRemembered answers a question whose answer is cached. Bound: 10 µs and no allocation.
func BenchmarkDecideRemembered(b *testing.B) {
	n := newNode(b, signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	benchmarkDecide(b, n, policy.Accepted)
}

// BenchmarkDecideRememberedWithExpiry also reads the clock.
func BenchmarkDecideRememberedWithExpiry(b *testing.B) {
	n := newNode(b, signedBy("alice"))
	n.judge = answering(policy.Finding{Met: true, ExpiresAt: time.Now().Add(24 * time.Hour)})
	benchmarkDecide(b, n, policy.Accepted)
}

// BenchmarkDecideFindingsRemembered evaluates a question with cached findings.
func BenchmarkDecideFindingsRemembered(b *testing.B) {
	for _, manifests := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("manifests=%d", manifests), func(b *testing.B) {
			n := newNode(b, signedBy("alice"))
			image := imageOf(b, tagged)
			for i := 1; i < manifests; i++ {
				image.Manifests = append(image.Manifests, policy.Manifest{
					Digest: digestOf(fmt.Sprint("manifest ", i)), Repositories: []string{repository},
				})
			}
			n.runs(image)
			benchmarkDecide(b, n, policy.Unsigned)
		})
	}
}

// BenchmarkAnswerRemembered adds the cost of the deadline.
func BenchmarkAnswerRemembered(b *testing.B) {
	decider := newDecider(b, newNode(b, acceptAnything()).sources())
	deadline := policy.NewDeadline(within)
	q := ask(tagged)
	b.ReportAllocs()
	for b.Loop() {
		deadline.Answer(b.Context(), func(ctx context.Context) policy.Verdict { return decider.Decide(ctx, q) })
	}
}

func benchmarkDecide(b *testing.B, n *node, want policy.Reason) {
	b.Helper()
	decider := newDecider(b, n.sources())
	q, ctx := ask(tagged), b.Context()
	wantReason(b, decider.Decide(ctx, q), want)
	b.ReportAllocs()
	for b.Loop() {
		decider.Decide(ctx, q)
	}
	b.StopTimer()
	if n.judged.Load() > 64 {
		b.Fatalf("the judge was called %d times", n.judged.Load())
	}
}
