package policy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

func TestEveryReasonHasItsCause(t *testing.T) {
	failing := func(err error) func(*node) {
		return func(n *node) {
			n.image = func(context.Context, policy.Question) (*policy.Image, error) { return nil, err }
		}
	}
	evidence := func(signers string) func(*node) {
		return func(n *node) { n.signed(map[string]string{tagged: signers}) }
	}
	cases := map[string]struct {
		change func(*node)
		ask    policy.Question
		want   policy.Reason
	}{
		"signed as required":         {evidence("alice"), ask(tagged), policy.Accepted},
		"signed by another":          {evidence("mallory"), ask(tagged), policy.Rejected},
		"not signed":                 {func(*node) {}, ask(tagged), policy.Unsigned},
		"signatures not fetched yet": {evidence("?"), ask(tagged), policy.Pending},
		"signatures not fetchable":   {evidence("!"), ask(tagged), policy.Unavailable},
		"no policy loaded":           {func(n *node) { n.set.Store(nil) }, ask(tagged), policy.InvalidPolicy},
		"a policy that does not parse": {
			func(n *node) { n.set.Store(&policy.Set{System: policy.Source{Err: errors.New("bad")}}) }, ask(tagged),
			policy.InvalidPolicy,
		},
		"a policy without requirements": {
			func(n *node) { n.set.Store(&policy.Set{System: policy.Source{Document: document("d")}}) }, ask(tagged),
			policy.InvalidPolicy,
		},
		"an image pulled as another": {
			func(n *node) { n.runs(imageOf(t, "evil.example/app")) }, ask(tagged), policy.UnknownOrigin,
		},
		"a question without a config": {
			func(*node) {}, policy.Question{Namespace: "prod", Reference: tagged}, policy.BadRequest,
		},
		"a question about no namespace": {
			func(*node) {},
			policy.Question{Namespace: "../etc", Reference: tagged, Config: digestOf("config")},
			policy.BadRequest,
		},
		"the image refused with a reason": {
			failing(policy.Refuse(policy.UnknownOrigin, "no such image")), ask(tagged), policy.UnknownOrigin,
		},
		"the image refused, wrapped": {
			failing(fmt.Errorf("finding it: %w", policy.Refuse(policy.Pending, "reading"))), ask(tagged), policy.Pending,
		},
		"the image cannot be determined": {failing(errors.New("connection refused")), ask(tagged), policy.Internal},
		"the image not found out in time": {
			failing(fmt.Errorf("asking: %w", context.DeadlineExceeded)), ask(tagged), policy.Pending,
		},
		"the image's context cancelled": {failing(context.Canceled), ask(tagged), policy.Pending},
		"a refusal with reason accepted": {
			failing(policy.Refuse(policy.Accepted, "fine")), ask(tagged), policy.Internal,
		},
		"a refusal without a reason": {failing(&policy.Refusal{}), ask(tagged), policy.Internal},
		"a refusal that is nil":      {failing((*policy.Refusal)(nil)), ask(tagged), policy.Internal},
		"too little evidence is returned": {
			func(n *node) {
				n.kept = func([]policy.Manifest, reference.Named) policy.StoredEvidence { return nil }
			}, ask(tagged),
			policy.Pending,
		},
		"the evidence is of another manifest": {func(n *node) {
			n.keeps(policy.Evidence{Manifest: digestOf("x"), Generation: 1, State: policy.Found, Directory: "alice"})
		}, ask(tagged), policy.Internal},
		"the evidence has an unknown state": {func(n *node) {
			n.keeps(policy.Evidence{Manifest: digestOf("manifest of " + tagged), Generation: 1, State: 9, Directory: "alice"})
		}, ask(tagged), policy.Internal},
	}
	seen := make(map[policy.Reason]bool)
	for name, c := range cases {
		seen[c.want] = true
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			c.change(n)
			wantReason(t, n.decider(t).Decide(t.Context(), c.ask), c.want)
		})
	}
	for _, reason := range policy.Reasons() {
		if !seen[reason] {
			t.Errorf("no case ends in %q", reason)
		}
	}
}

// keeps makes the node return this evidence for every lookup.
func (n *node) keeps(evidence ...policy.Evidence) {
	n.kept = func([]policy.Manifest, reference.Named) policy.StoredEvidence { return evidence }
}

func TestAVerdictNamesTheRuleThatDecided(t *testing.T) {
	n := newNode(t)
	d := document("/prod.json", rejectAll())
	d.Scopes = map[string][]*policy.Requirement{repository: {signedBy("alice")}}
	n.set.Store(&policy.Set{Namespaces: map[string]policy.Source{"prod": {Document: d}}})
	n.signed(map[string]string{tagged: "alice"})
	want := policy.Verdict{
		Outcome: policy.Admit, Reason: policy.Accepted, Reference: tagged, Digest: digestOf("manifest of " + tagged),
		Document: "/prod.json", Scope: repository,
	}
	if got := decide(t, n, tagged); got != want {
		t.Errorf("verdict = %+v\nwant      %+v", got, want)
	}
	n.runs(imageOf(t, "evil.example/app"))
	if got := decide(t, n, tagged); got.Document != "/prod.json" {
		t.Errorf("an unknown origin is refused by %q, want /prod.json", got.Document)
	}
}

func TestADeciderNeedsItsSources(t *testing.T) {
	none := func() uint64 { return 0 }
	cases := map[string]func(*policy.Sources){
		"no documents":      func(s *policy.Sources) { s.Documents = nil },
		"no images":         func(s *policy.Sources) { s.Image = nil },
		"no evidence":       func(s *policy.Sources) { s.Lookup = nil },
		"no kinds":          func(s *policy.Sources) { s.Kinds = nil },
		"no judge":          func(s *policy.Sources) { s.Kinds[policy.Reject] = policy.KindSpec{} },
		"a nil judge":       func(s *policy.Sources) { s.Kinds.AddJudge(policy.Reject, policy.Judge{Name: "none"}) },
		"a nil generation":  func(s *policy.Sources) { s.Generations = []func() uint64{nil} },
		"three generations": func(s *policy.Sources) { s.Generations = []func() uint64{none, none, none} },
	}
	for name, breakIt := range cases {
		t.Run(name, func(t *testing.T) {
			sources := newNode(t, acceptAnything()).sources()
			breakIt(&sources)
			if decider, err := policy.NewDecider(sources); err == nil || decider != nil {
				t.Errorf("NewDecider = %v, %v, want an error", decider, err)
			}
		})
	}
}
