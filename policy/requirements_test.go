package policy_test

import (
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

func TestARequirementIsMetByAnyManifestAndTheListByAll(t *testing.T) {
	const one, two = repository + ":v1", repository + ":v2"
	list := func(requirements ...*policy.Requirement) []*policy.Requirement { return requirements }
	alice, bob := signedBy("alice"), signedBy("bob")
	cases := map[string]struct {
		list   []*policy.Requirement
		signed map[string]string
		want   policy.Reason
		digest digest.Digest
	}{
		"one requirement, the first manifest meets it": {
			list(alice), map[string]string{one: "alice"}, policy.Accepted, digestOf("manifest of " + one),
		},
		"one requirement, the second manifest meets it": {
			list(alice), map[string]string{two: "alice"}, policy.Accepted, digestOf("manifest of " + two),
		},
		"two requirements, one manifest meets both": {
			list(alice, bob), map[string]string{two: "alice bob"}, policy.Accepted, digestOf("manifest of " + two),
		},
		"two requirements, each manifest meets one": {
			list(alice, bob), map[string]string{one: "bob", two: "alice"}, policy.Accepted, digestOf("manifest of " + one),
		},
		"two requirements, one is met": {
			list(alice, bob), map[string]string{one: "alice"}, policy.Rejected, "",
		},
		"two requirements, the other is met": {
			list(bob, alice), map[string]string{one: "alice"}, policy.Rejected, "",
		},
		"two requirements, none is met":              {list(alice, bob), nil, policy.Unsigned, ""},
		"accept anything does not loosen a list":     {list(acceptAnything(), alice), nil, policy.Unsigned, ""},
		"accept anything at the end does not either": {list(alice, acceptAnything()), nil, policy.Unsigned, ""},
		"accept anything, and one that is met": {
			list(acceptAnything(), alice), map[string]string{two: "alice"}, policy.Accepted, digestOf("manifest of " + two),
		},
		"reject at the end of a list that is met": {
			list(alice, rejectAll()), map[string]string{one: "alice"}, policy.Rejected, "",
		},
		"the same requirement twice": {
			list(alice, alice), map[string]string{one: "alice"}, policy.Accepted, digestOf("manifest of " + one),
		},
		"pending hides rejected": {
			list(alice), map[string]string{one: "mallory", two: "?"}, policy.Pending, digestOf("manifest of " + two),
		},
		"pending hides unavailable": {
			list(alice), map[string]string{one: "!", two: "?"}, policy.Pending, digestOf("manifest of " + two),
		},
		"unavailable hides rejected": {
			list(alice), map[string]string{one: "mallory", two: "!"}, policy.Unavailable, digestOf("manifest of " + two),
		},
		"unavailable hides unsigned": {
			list(alice), map[string]string{one: "!"}, policy.Unavailable, digestOf("manifest of " + one),
		},
		"rejected hides unsigned": {
			list(alice), map[string]string{two: "mallory"}, policy.Rejected, digestOf("manifest of " + two),
		},
		"pending does not hide accepted": {
			list(alice), map[string]string{one: "?", two: "alice"}, policy.Accepted, digestOf("manifest of " + two),
		},
		"unavailable does not hide accepted": {
			list(alice), map[string]string{one: "!", two: "alice"}, policy.Accepted, digestOf("manifest of " + two),
		},
		"the first that is not met gives the reason": {
			list(alice, bob), map[string]string{one: "bob ?"}, policy.Rejected, "",
		},
		"one that needs no evidence gives it before": {
			list(alice, rejectAll()), map[string]string{one: "?"}, policy.Rejected, "",
		},
		"a requirement that nothing can meet before it": {
			list(alice, &policy.Requirement{ID: "x", Problem: "no key", NeedsEvidence: true}),
			map[string]string{one: "?"},
			policy.InvalidPolicy, "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, c.list...)
			n.runs(imageOf(t, one, two))
			n.signed(c.signed)
			got := decide(t, n, one)
			wantReason(t, got, c.want)
			if c.digest != "" && got.Digest != c.digest {
				t.Errorf("decided by %s, want %s (%s)", got.Digest, c.digest, got.Detail)
			}
		})
	}
}

func TestAProblemOfOneScopeDoesNotAffectOthers(t *testing.T) {
	broken := signedBy("alice")
	broken.Problem = "reading key /etc/keys/alice.pub: permission denied"
	d := document("/prod.json", acceptAnything())
	d.Scopes = map[string][]*policy.Requirement{"broken.example": {broken}}
	n := newNode(t)
	n.set.Store(&policy.Set{System: policy.Source{Document: d}})
	n.runs(imageOf(t, tagged, "broken.example/app:v1"))
	n.signed(map[string]string{"broken.example/app:v1": "alice"})
	verdict := decide(t, n, "broken.example/app:v1")
	wantReason(t, verdict, policy.InvalidPolicy)
	if verdict.Detail != broken.Problem || verdict.Scope != "broken.example" {
		t.Errorf("scope %q: %q, want the scope with the problem", verdict.Scope, verdict.Detail)
	}
	if n.judged.Load() != 0 || n.looks.Load() != 0 || n.asked.Load() != 0 {
		t.Error("evidence was looked up for a requirement that nothing can meet")
	}
	wantReason(t, decide(t, n, tagged), policy.Accepted)
}

func TestEvidenceIsRefetchedOnlyIfItCouldChangeTheVerdict(t *testing.T) {
	const good, evil = "good.example/app:v1", "evil.example/app:v1"
	id := digestOf("config").String()
	cases := map[string]struct {
		list         []*policy.Requirement
		reference    string
		signed       map[string]string
		want         policy.Reason
		looks, asked int64
	}{
		"accepted": {
			[]*policy.Requirement{signedBy("alice")}, good, map[string]string{good: "alice"}, policy.Accepted, 1, 0,
		},
		"unsigned": {[]*policy.Requirement{signedBy("alice")}, good, nil, policy.Unsigned, 1, 1},
		"rejected": {
			[]*policy.Requirement{signedBy("alice")}, good, map[string]string{good: "bob"}, policy.Rejected, 1, 1,
		},
		"unavailable": {
			[]*policy.Requirement{signedBy("alice")}, good, map[string]string{good: "!"}, policy.Unavailable, 1, 1,
		},
		"pending": {
			[]*policy.Requirement{signedBy("alice")}, good, map[string]string{good: "?"}, policy.Pending, 1, 0,
		},
		"two requirements, one lookup": {
			[]*policy.Requirement{signedBy("alice"), signedBy("bob")},
			good,
			map[string]string{good: "alice bob"},
			policy.Accepted, 1, 0,
		},
		"accept anything": {[]*policy.Requirement{acceptAnything()}, good, nil, policy.Accepted, 0, 0},
		"reject":          {[]*policy.Requirement{rejectAll()}, good, nil, policy.Rejected, 0, 0},
		"reject, as the last requirement": {
			[]*policy.Requirement{signedBy("alice"), rejectAll()}, good, nil, policy.Rejected, 0, 0,
		},
		"unknown origin": {
			[]*policy.Requirement{signedBy("alice")}, "third.example/app", nil, policy.UnknownOrigin, 0, 0,
		},
		"by ID, the first unsigned": {
			[]*policy.Requirement{signedBy("alice")}, id, map[string]string{good: "alice"}, policy.Accepted, 2, 0,
		},
		"by ID, both unsigned": {[]*policy.Requirement{signedBy("alice")}, id, nil, policy.Unsigned, 2, 2},
		"by ID, one is being fetched": {
			[]*policy.Requirement{signedBy("alice")}, id, map[string]string{good: "?"}, policy.Pending, 2, 0,
		},
		"by ID, both are rejected": {[]*policy.Requirement{rejectAll()}, id, nil, policy.Rejected, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, c.list...)
			image := imageOf(t, evil, good)
			n.runs(image)
			n.signed(c.signed)
			if c.reference == id {
				n.keepOnlyItsOwn()
			}
			wantReason(t, decide(t, n, c.reference), c.want)
			if n.looks.Load() != c.looks || n.asked.Load() != c.asked {
				t.Errorf("%d lookups and %d refetches, want %d and %d", n.looks.Load(), n.asked.Load(), c.looks, c.asked)
			}
		})
	}
}

// keepOnlyItsOwn makes each repository store only the signatures of the manifests obtained from it.
func (n *node) keepOnlyItsOwn() {
	kept := n.kept
	n.kept = func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
		answer := kept(manifests, ref)
		for i, manifest := range manifests {
			if manifest.Repositories[0] != ref.Name() {
				answer[i] = policy.Evidence{Manifest: manifest.Digest, Generation: 2, State: policy.None}
			}
		}
		return answer
	}
}
