package policy_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

// bench is a judge that is slow for one namespace's image, and counts concurrent judgements.
type bench struct {
	now, most atomic.Int64
	goOn      chan struct{}
}

func (b *bench) judge(_ context.Context, request policy.JudgeRequest) policy.Finding {
	b.most.Store(max(b.most.Load(), b.now.Add(1)))
	defer b.now.Add(-1)
	if request.Requirement.NeedsEvidence && request.Reference.Name() != repository {
		<-b.goOn
	}
	return policy.Finding{Met: true}
}

// TestFewJudgementsRunAtOnceAndCheapOnesDoNotWaitForExpensiveOnes: anyone who may push can cause judgements that take
// seconds, for forty containers at once, and others must still be answered within a quarter of a second on the same
// processor.
func TestFewJudgementsRunAtOnceAndCheapOnesDoNotWaitForExpensiveOnes(t *testing.T) {
	for name, test := range map[string]struct {
		signatures, bundles, bytes int
		atOnce                     int64
	}{
		"many signatures":              {signatures: 64, atOnce: 1},
		"many bundles":                 {bundles: 64, atOnce: 1},
		"many of both together":        {signatures: 5, bundles: 4, atOnce: 1},
		"a manifest of four megabytes": {signatures: 1, bytes: 4 << 20, atOnce: 1},
		"a few that take long":         {signatures: 8, bytes: 1000, atOnce: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{goOn: make(chan struct{})}
				n := newNode(t, signedBy("alice"))
				n.judge = b.judge
				images := map[string]*policy.Image{tagged: imageOf(t, tagged)}
				for i := range 40 {
					hostile := fmt.Sprintf("hostile.example/%d:v1", i)
					images[hostile] = imageOf(t, hostile)
					images[hostile].Manifests[0].Bytes = make([]byte, test.bytes)
				}
				n.image = func(_ context.Context, q policy.Question) (*policy.Image, error) { return images[q.Reference], nil }
				n.kept = func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
					kept := policy.StoredEvidence{evidenceOf(manifests[0].Digest, "alice")}
					kept[0].Signatures = 1
					if ref.Name() != repository {
						kept[0].Signatures, kept[0].Bundles = test.signatures, test.bundles
					}
					return kept
				}
				decider := n.decider(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				answers := make(chan policy.Verdict, len(images))
				for _, ref := range slices.Sorted(maps.Keys(images)) {
					if ref != tagged {
						go func() { answers <- decider.Decide(ctx, ask(ref)) }()
					}
				}
				synctest.Wait()
				if most := b.most.Load(); most != test.atOnce {
					t.Errorf("%d judgements at once, want %d", most, test.atOnce)
				}
				if test.atOnce == 1 {
					wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
				}
				// If no signature is judged there is nothing to wait for.
				n.set.Load().Namespaces = map[string]policy.Source{"lax": {Document: document("/lax.json", acceptAnything())}}
				lax := policy.Question{Namespace: "lax", Reference: "hostile.example/1:v1", Config: digestOf("config")}
				wantReason(t, decider.Decide(t.Context(), lax), policy.Accepted)
				// A decision whose time is over is told to retry.
				late, end := context.WithTimeout(t.Context(), time.Second)
				defer end()
				wantReason(t, decider.Decide(late, ask("hostile.example/0:v1")), policy.Pending)
				close(b.goOn)
				for range len(images) - 1 {
					wantReason(t, <-answers, policy.Accepted)
				}
			})
		})
	}
}

// TestADecisionThatWaitedForAnEqualOneUsesItsFinding instead of judging again.
func TestADecisionThatWaitedForAnEqualOneUsesItsFinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{goOn: make(chan struct{})}
		n := newNode(t, signedBy("alice"))
		n.judge = b.judge
		n.runs(imageOf(t, "slow.example/app:v1"))
		n.kept = func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
			kept := policy.StoredEvidence{evidenceOf(manifests[0].Digest, "alice")}
			kept[0].Bundles = 64
			return kept
		}
		decider := n.decider(t)
		answers := make(chan policy.Verdict, 20)
		for range cap(answers) {
			go func() { answers <- decider.Decide(t.Context(), ask("slow.example/app:v1")) }()
		}
		synctest.Wait()
		close(b.goOn)
		for range cap(answers) {
			wantReason(t, <-answers, policy.Accepted)
		}
		if judged := n.judged.Load(); judged != 1 {
			t.Errorf("it was judged %d times", judged)
		}
	})
}
