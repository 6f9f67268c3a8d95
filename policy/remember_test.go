package policy_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

// obtained has the image of a node report whether it is still obtained under its references.
func (n *node) obtained(t testing.TB, originals ...string) (holds *atomic.Bool) {
	t.Helper()
	holds = &atomic.Bool{}
	holds.Store(true)
	image := imageOf(t, originals...)
	image.Holds = func(reference.Named) func() bool { return holds.Load }
	n.runs(image)
	return holds
}

// numbered has all evidence of a node have a number.
func (n *node) numbered(number *atomic.Uint64) {
	kept := n.kept
	n.kept = func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
		found := kept(manifests, ref)
		for i := range found {
			found[i].Generation = number.Load()
		}
		return found
	}
}

// TestAnAnswerLastsUntilSomethingChangesThatItRestsOn: others change something on the node ten times a second.
func TestAnAnswerLastsUntilSomethingChangesThatItRestsOn(t *testing.T) {
	type world struct {
		*node
		holds    *atomic.Bool
		evidence *atomic.Uint64
		nameless *atomic.Bool
	}
	alice, nameless := map[string]string{tagged: "alice"}, map[string]string{tagged: "nameless"}
	cases := map[string]struct {
		signed map[string]string
		change func(world)
		cached bool
		want   policy.Reason
	}{
		"another image": {alice, func(world) {}, true, policy.Accepted},
		"it is not obtained under the reference any more": {
			alice, func(w world) { w.holds.Store(false) }, false, policy.Accepted,
		},
		"its evidence": {alice, func(w world) { w.evidence.Add(1) }, false, policy.Accepted},
		"its evidence, which is gone": {
			alice, func(w world) { w.signed(nil); w.numbered(w.evidence); w.evidence.Add(1) }, false, policy.Unsigned,
		},
		"its evidence has no number": {alice, func(w world) { w.evidence.Store(0) }, false, policy.Accepted},
		"the document": {
			alice, func(w world) { w.store(document("/d", rejectAll())) }, false, policy.Rejected,
		},
		"a name is not needed":         {nameless, func(world) {}, true, policy.Accepted},
		"a name is needed from now on": {nameless, func(w world) { w.nameless.Store(false) }, false, policy.Rejected},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := world{newNode(t, signedBy("alice")), nil, &atomic.Uint64{}, &atomic.Bool{}}
			w.evidence.Store(1)
			w.nameless.Store(true)
			w.signed(c.signed)
			w.numbered(w.evidence)
			w.holds = w.obtained(t, tagged)
			sources := w.sources()
			sources.NoIdentity = func(string) bool { return w.nameless.Load() }
			sources.Kinds.AddJudge(policy.SignedBy, policy.Judge{Name: "bundle", Func: bundles})
			decider := newDecider(t, sources)
			wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
			judged := w.judged.Load()
			for range 3 {
				w.generation.Add(1)
				again := decider.Decide(t.Context(), ask(tagged))
				wantReason(t, again, policy.Accepted)
				if !again.Cached || w.images.Load() != 1 {
					t.Fatalf("the answer was forgotten: %d images", w.images.Load())
				}
			}
			c.change(w)
			w.generation.Add(1)
			wantReason(t, decider.Decide(t.Context(), ask(tagged)), c.want)
			if cached := w.images.Load() == 1 && w.judged.Load() == judged; cached != c.cached {
				t.Errorf("answered from the cache: %t, want %t", cached, c.cached)
			}
		})
	}
}

func TestAnAnswerThatExpiresDoesSoAlthoughNothingElseChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, signedBy("alice"))
		n.judge = answering(policy.Finding{Met: true, ExpiresAt: time.Now().Add(time.Hour)})
		n.signed(map[string]string{tagged: "alice"})
		n.obtained(t, tagged)
		decider := n.decider(t)
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
		time.Sleep(2 * time.Hour) // in the bubble's own time
		n.generation.Add(1)
		n.judge = readSigners
		n.signed(nil)
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Unsigned)
	})
}

func TestAComparedAnswerAllocatesNothingButALookup(t *testing.T) {
	n := newNode(t, acceptAnything())
	n.obtained(t, tagged)
	decider := n.decider(t)
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
	q, ctx := ask(tagged), t.Context()
	allocated := testing.AllocsPerRun(100, func() {
		n.generation.Add(1)
		decider.Decide(ctx, q)
	})
	if allocated != 0 || n.images.Load() != 1 {
		t.Errorf("%v allocations and %d images, want none and one", allocated, n.images.Load())
	}
}
