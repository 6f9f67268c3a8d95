package policy_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

func TestAChangeDuringADecisionIsNotCachedUnderTheNewNumber(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	image := n.image
	n.image = func(ctx context.Context, q policy.Question) (*policy.Image, error) {
		found, err := image(ctx, q)
		n.generation.Add(1) // the data is now outdated
		n.image = image
		return found, err
	}
	decider := n.decider(t)
	for i, want := range []bool{false, false, true} {
		verdict := decider.Decide(t.Context(), ask(tagged))
		wantReason(t, verdict, policy.Accepted)
		if fromMemory := n.images.Load() <= int64(i); fromMemory != want {
			t.Errorf("decision %d was cached: %t, want %t", i+1, fromMemory, want)
		}
	}
}

func TestASecondGenerationCountsToo(t *testing.T) {
	n := newNode(t, acceptAnything())
	var evidence uint64
	sources := n.sources()
	sources.Generations = append(sources.Generations, func() uint64 { return evidence })
	decider := newDecider(t, sources)
	for i := range int64(3) {
		decider.Decide(t.Context(), ask(tagged))
		decider.Decide(t.Context(), ask(tagged))
		if n.images.Load() != i+1 {
			t.Fatalf("%d images after %d changes", n.images.Load(), i)
		}
		evidence++
	}
}

func TestWithoutGenerationsNoAnswerIsCached(t *testing.T) {
	n := newNode(t, acceptAnything())
	sources := n.sources()
	sources.Generations = nil
	decider := newDecider(t, sources)
	for i := range int64(3) {
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
		if n.images.Load() != i+1 {
			t.Fatalf("%d images were found for %d decisions", n.images.Load(), i+1)
		}
	}
}

func TestAReloadDuringADecisionDoesNotMixTwoPolicies(t *testing.T) {
	// The old policy requires alice and bob, the new one carol and dave. The image is signed by alice and dave: only half
	// of each would admit it.
	old := document("/old.json", signedBy("alice"), signedBy("bob"))
	fresh := document("/new.json", signedBy("carol"), signedBy("dave"))
	reload := func(n *node) { n.store(fresh) }
	cases := map[string]func(*node){
		"while the image is found": func(n *node) {
			image := n.image
			n.image = func(ctx context.Context, q policy.Question) (*policy.Image, error) {
				reload(n)
				return image(ctx, q)
			}
		},
		"while the evidence is found": func(n *node) {
			kept := n.kept
			n.kept = func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
				reload(n)
				return kept(manifests, ref)
			}
		},
		"while a requirement is judged": func(n *node) {
			n.judge = func(ctx context.Context, request policy.JudgeRequest) policy.Finding {
				reload(n)
				return readSigners(ctx, request)
			}
		},
	}
	for name, during := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.store(old)
			n.signed(map[string]string{tagged: "alice dave"})
			during(n)
			decider := n.decider(t)
			for _, want := range []string{"/old.json", "/new.json"} {
				verdict := decider.Decide(t.Context(), ask(tagged))
				wantReason(t, verdict, policy.Rejected)
				if verdict.Document != want {
					t.Errorf("decided by %s, want %s", verdict.Document, want)
				}
			}
		})
	}
}

func TestAnAnswerUnderTheOldPolicyIsNotReusedUnderTheNew(t *testing.T) {
	n := newNode(t, acceptAnything())
	decider := n.decider(t)
	image := n.image
	n.image = func(ctx context.Context, q policy.Question) (*policy.Image, error) {
		n.store(document("/new.json", rejectAll()))
		return image(ctx, q)
	}
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
	for range 2 {
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Rejected)
	}
}

func TestManyDecideWhileDocumentsAndEvidenceChange(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	decider := n.decider(t)
	documents := []*policy.Document{document("/lax.json", signedBy("alice")), document("/strict.json", signedBy("bob"))}
	n.store(documents[0])
	var askers, changer sync.WaitGroup
	done := make(chan struct{})
	changer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				n.generation.Add(1)
				n.store(documents[i%2])
			}
		}
	})
	for asker := range 8 {
		askers.Go(func() {
			for i := range 500 {
				q := ask(repository + ":" + strconv.Itoa(i%(asker+1)))
				verdict := decider.Decide(context.Background(), q)
				if verdict.Admitted() != (verdict.Document == "/lax.json") {
					t.Errorf("%s: %+v", q.Reference, verdict)
				}
			}
		})
	}
	askers.Wait()
	close(done)
	changer.Wait()
}

func TestADecisionUsesOneSnapshotOfTheDocuments(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	sources := n.sources()
	asked := 0
	sources.Documents = func() *policy.Set {
		asked++
		return n.set.Load()
	}
	decider := newDecider(t, sources)
	for i := range 3 { // worked out, then remembered
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
		if asked != i+1 {
			t.Fatalf("the documents were requested %d times in %d decisions", asked, i+1)
		}
	}
}
