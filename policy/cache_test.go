package policy_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

func TestAnAcceptedQuestionIsAnsweredFromTheCache(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	decider := n.decider(t)
	first := decider.Decide(t.Context(), ask(tagged))
	wantReason(t, first, policy.Accepted)
	second := decider.Decide(t.Context(), ask(tagged))
	if first.Cached || !second.Cached {
		t.Errorf("remembered: first %t, second %t", first.Cached, second.Cached)
	}
	if second.Cached = false; first != second {
		t.Errorf("the second answer is\n%+v\nwant\n%+v", second, first)
	}
	if n.images.Load() != 1 || n.looks.Load() != 1 || n.judged.Load() != 1 {
		t.Errorf("%d images, %d lookups, %d judgements, want one of each", n.images.Load(), n.looks.Load(), n.judged.Load())
	}
}

func TestAChangeInvalidatesTheAnswer(t *testing.T) {
	cases := map[string]struct {
		change         func(*node, *policy.Question)
		images, judged int64
	}{
		"nothing":        {func(*node, *policy.Question) {}, 1, 1},
		"the generation": {func(n *node, _ *policy.Question) { n.generation.Add(1) }, 2, 1},
		"the document, not its requirements": {
			func(n *node, _ *policy.Question) { n.store(document("/system.json", signedBy("alice"))) }, 2, 1,
		},
		"the document and its requirements": {
			func(n *node, _ *policy.Question) { n.store(document("/system.json", signedBy("bob"))) }, 2, 2,
		},
		"another set with the same document": {
			func(n *node, _ *policy.Question) { n.store(n.set.Load().System.Document) }, 1, 1,
		},
		"the namespace": {func(_ *node, q *policy.Question) { q.Namespace = "dev" }, 2, 1},
		"the reference, another tag": {
			func(_ *node, q *policy.Question) { q.Reference = repository + ":v2" }, 2, 2,
		},
		"the reference, written otherwise": {
			func(_ *node, q *policy.Question) { q.Reference = digestOf("config").String() }, 2, 1,
		},
		"the config, which is another image's": {func(_ *node, q *policy.Question) { q.Config = digestOf("other") }, 2, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.signed(map[string]string{tagged: "alice bob"})
			decider := n.decider(t)
			q := ask(tagged)
			wantReason(t, decider.Decide(t.Context(), q), policy.Accepted)
			c.change(n, &q)
			decider.Decide(t.Context(), q)
			if n.images.Load() != c.images || n.judged.Load() != c.judged {
				t.Errorf("%d images and %d judgements, want %d and %d", n.images.Load(), n.judged.Load(), c.images, c.judged)
			}
		})
	}
}

func (n *node) store(d *policy.Document) {
	n.set.Store(&policy.Set{System: policy.Source{Document: d}})
}

func TestEveryInputOfAFindingIsPartOfItsKey(t *testing.T) {
	manifest := policy.Manifest{Digest: digestOf("m"), MediaType: "one", Repositories: []string{repository}}
	kept := policy.Evidence{Manifest: manifest.Digest, Generation: 1, State: policy.Found, Directory: "bob"}
	type world struct {
		requirement *policy.Requirement
		reference   string
		manifest    policy.Manifest
		evidence    policy.Evidence
	}
	cases := map[string]struct {
		change func(*world)
		again  bool
	}{
		"nothing":              {func(*world) {}, false},
		"an equal requirement": {func(w *world) { w.requirement = signedBy("alice") }, false},
		"the requirement":      {func(w *world) { w.requirement = signedBy("carol") }, true},
		"the reference":        {func(w *world) { w.reference = repository + ":v2" }, true},
		"the manifest": {
			func(w *world) { w.manifest.Digest = digestOf("n"); w.evidence.Manifest = digestOf("n") }, true,
		},
		"its media type":           {func(w *world) { w.manifest.MediaType = "two" }, true},
		"the evidence":             {func(w *world) { w.evidence.Generation = 2 }, true},
		"the evidence, unnumbered": {func(w *world) { w.evidence.Generation = 0 }, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := world{signedBy("alice"), tagged, manifest, kept}
			n := newNode(t)
			n.image = func(context.Context, policy.Question) (*policy.Image, error) {
				image := imageOf(t, tagged)
				image.Manifests = []policy.Manifest{w.manifest}
				return image, nil
			}
			n.kept = func([]policy.Manifest, reference.Named) policy.StoredEvidence {
				return policy.StoredEvidence{w.evidence}
			}
			decider := n.decider(t)
			decideOn := func() policy.Verdict {
				n.store(document("/system.json", w.requirement))
				return decider.Decide(t.Context(), ask(w.reference))
			}
			wantReason(t, decideOn(), policy.Rejected)
			c.change(&w)
			verdict := decideOn()
			wantReason(t, verdict, policy.Rejected)
			if again := n.judged.Load() == 2; again != c.again || verdict.Cached == c.again {
				t.Errorf("judged %d times, cached=%t, want again=%t", n.judged.Load(), verdict.Cached, c.again)
			}
		})
	}
}

func TestFindingsWithoutAGenerationAreNotCached(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.keeps(policy.Evidence{Manifest: digestOf("manifest of " + tagged), State: policy.Found, Directory: "bob"})
	decider := n.decider(t)
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Rejected)
	n.keeps(policy.Evidence{Manifest: digestOf("manifest of " + tagged), State: policy.Found, Directory: "alice"})
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
}

func TestAFailureIsNeverCached(t *testing.T) {
	broken := map[string]func(*node){
		"the image cannot be found out": func(n *node) {
			n.image = func(context.Context, policy.Question) (*policy.Image, error) { return nil, errors.New("refused") }
		},
		"the image is refused": func(n *node) {
			n.image = func(context.Context, policy.Question) (*policy.Image, error) {
				return nil, policy.Refuse(policy.UnknownOrigin, "gone")
			}
		},
		"the image is of unknown origin": func(n *node) { n.runs(imageOf(t, "evil.example/app")) },
		"the policy is broken": func(n *node) {
			n.set.Store(&policy.Set{System: policy.Source{Err: errors.New("bad")}})
		},
		"the evidence cannot be fetched": func(n *node) { n.signed(map[string]string{tagged: "!"}) },
		"the evidence is being fetched":  func(n *node) { n.signed(map[string]string{tagged: "?"}) },
		"the judge cannot decide":        func(n *node) { n.judge = answering(policy.Finding{Reason: policy.Unavailable}) },
		"the judge returns nothing":      func(n *node) { n.judge = answering(policy.Finding{}) },
		"the judge finds the key unusable": func(n *node) {
			n.judge = answering(policy.Finding{Reason: policy.InvalidPolicy})
		},
		"the judge panics":                    func(n *node) { n.judge = nil },
		"the evidence is of another manifest": func(n *node) { n.keeps(policy.Evidence{State: policy.Found, Generation: 1}) },
	}
	for name, breakIt := range broken {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.signed(map[string]string{tagged: "alice"})
			set, image, kept := n.set.Load(), n.image, n.kept
			breakIt(n)
			decider := n.decider(t)
			if verdict := decider.Decide(t.Context(), ask(tagged)); verdict.Admitted() {
				t.Fatalf("admitted: %+v", verdict)
			}
			n.image, n.kept, n.judge = image, kept, readSigners
			n.set.Store(set)
			wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
		})
	}
}

func TestARefusalIsDecidedAgainFromCachedFindings(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	decider := n.decider(t)
	for range 3 {
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Unsigned)
	}
	if n.images.Load() != 3 || n.looks.Load() != 3 || n.asked.Load() != 3 || n.judged.Load() != 1 {
		t.Errorf("%d images, %d lookups, %d refetches, %d judgements, want 3, 3, 3, 1",
			n.images.Load(), n.looks.Load(), n.asked.Load(), n.judged.Load())
	}
}

func TestAFindingExpires(t *testing.T) {
	const hour = time.Hour
	type says struct {
		met    bool
		reason policy.Reason
		lasts  time.Duration // 0: for good
	}
	cases := map[string][]says{
		"one judge says yes for an hour":        {{true, "", hour}},
		"one says no, one yes for an hour":      {{false, policy.Rejected, 0}, {true, "", hour}},
		"one says no for an hour":               {{false, policy.Rejected, hour}},
		"one says no for good, one for an hour": {{false, policy.Rejected, 0}, {false, policy.Unsigned, hour}},
		"one says no for an hour, one for good": {{false, policy.Unsigned, hour}, {false, policy.Rejected, 0}},
		"one says no for an hour, one for two":  {{false, policy.Rejected, hour}, {false, policy.Rejected, 2 * hour}},
	}
	for name, judges := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, signedBy("alice"))
				sources := n.sources()
				sources.Kinds = policy.Kinds{}
				asked := make([]int, len(judges))
				for i, judge := range judges {
					count := func(context.Context, policy.JudgeRequest) policy.Finding {
						asked[i]++
						finding := policy.Finding{Met: judge.met, Reason: judge.reason}
						if judge.lasts > 0 {
							finding.ExpiresAt = time.Now().Add(judge.lasts)
						}
						return finding
					}
					sources.Kinds.AddJudge(policy.SignedBy, policy.Judge{Func: count})
				}
				wantAskedEveryHour(t, newDecider(t, sources), &asked[0])
			})
		})
	}
}

// wantAskedEveryHour advances the fake clock to the last nanosecond of an hour and past it.
func wantAskedEveryHour(t *testing.T, decider *policy.Decider, asked *int) {
	t.Helper()
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{0, 1}, {time.Hour - 1, 1}, {1, 2}, {time.Hour - 1, 2}, {1, 3}} {
		time.Sleep(step.wait)
		decider.Decide(t.Context(), ask(tagged))
		if *asked != step.want {
			t.Fatalf("after another %s the judge was called %d times, want %d", step.wait, *asked, step.want)
		}
	}
}
