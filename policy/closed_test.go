package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

func TestZeroValuesDeny(t *testing.T) {
	if (policy.Verdict{}).Admitted() {
		t.Error("the zero verdict admits")
	}
	if (policy.Verdict{Reason: policy.Accepted}).Admitted() {
		t.Error("a verdict admits for its reason alone")
	}
	if got := policy.Outcome(0).String() + " " + policy.Outcome(7).String(); got != "deny deny" {
		t.Errorf("outcomes 0 and 7 are called %s", got)
	}
	var decider *policy.Decider
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Internal)
	wantReason(t, new(policy.Decider).Decide(t.Context(), ask(tagged)), policy.Internal)
	wantReason(t, newNode(t, acceptAnything()).decider(t).Decide(t.Context(), policy.Question{}), policy.BadRequest)
	wantReason(t, decide(t, newNode(t, &policy.Requirement{}), tagged), policy.Internal)
	wantReason(t, decide(t, newNode(t, nil), tagged), policy.Internal)
	answer := new(policy.Deadline).Answer(t.Context(), func(context.Context) policy.Verdict {
		return policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
	})
	wantReason(t, answer, policy.Pending)
}

func TestRequirementsWithoutAnIDDoNotShareAFinding(t *testing.T) {
	lax, strict := acceptAnything(), rejectAll()
	lax.ID, strict.ID = "", ""
	n := newNode(t, lax)
	decider := n.decider(t)
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Internal)
	n.set.Store(&policy.Set{System: policy.Source{Document: document("d", strict)}})
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Internal)
}

func TestFindingsOfAJudgeAreValidated(t *testing.T) {
	past := time.Now().Add(-time.Second)
	cases := map[string]struct {
		finding    policy.Finding
		want       policy.Reason
		remembered bool
	}{
		"met":               {policy.Finding{Met: true}, policy.Accepted, true},
		"met, and accepted": {policy.Finding{Met: true, Reason: policy.Accepted}, policy.Accepted, true},
		"met, until an hour from now": {
			policy.Finding{Met: true, ExpiresAt: time.Now().Add(time.Hour)}, policy.Accepted, true,
		},
		"rejected":                       {policy.Finding{Reason: policy.Rejected}, policy.Rejected, true},
		"unsigned":                       {policy.Finding{Reason: policy.Unsigned}, policy.Unsigned, true},
		"not known yet":                  {policy.Finding{Reason: policy.Pending}, policy.Pending, false},
		"could not be determined":        {policy.Finding{Reason: policy.Unavailable}, policy.Unavailable, false},
		"could not read the requirement": {policy.Finding{Reason: policy.InvalidPolicy}, policy.InvalidPolicy, false},
		"nothing, the zero finding":      {policy.Finding{}, policy.Internal, false},
		"accepted, but not met":          {policy.Finding{Reason: policy.Accepted}, policy.Internal, false},
		"met, but rejected":              {policy.Finding{Met: true, Reason: policy.Rejected}, policy.Internal, false},
		"met, but it is over":            {policy.Finding{Met: true, ExpiresAt: past}, policy.Internal, false},
		"rejected, but that is over": {
			policy.Finding{Reason: policy.Rejected, ExpiresAt: past}, policy.Rejected, false,
		},
		"a bug in the judge":             {policy.Finding{Reason: policy.Internal}, policy.Internal, false},
		"a reason that is not a judge's": {policy.Finding{Reason: policy.UnknownOrigin}, policy.Internal, false},
		"another that is not a judge's":  {policy.Finding{Reason: policy.BadRequest}, policy.Internal, false},
		"an unknown reason":              {policy.Finding{Reason: "maybe"}, policy.Internal, false},
		"met, with an unknown reason":    {policy.Finding{Met: true, Reason: "maybe"}, policy.Internal, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.judge = answering(c.finding)
			sources := n.sources()
			sources.Generations = nil // findings alone are remembered
			decider := newDecider(t, sources)
			for range 2 {
				wantReason(t, decider.Decide(t.Context(), ask(tagged)), c.want)
			}
			if again := n.judged.Load() == 2; again == c.remembered {
				t.Errorf("the judge was called %d times, want cached=%t", n.judged.Load(), c.remembered)
			}
		})
	}
}

func answering(finding policy.Finding) policy.JudgeFunc {
	return func(context.Context, policy.JudgeRequest) policy.Finding {
		return finding
	}
}

func TestOneYesOfSeveralJudgesIsEnoughAndAFailureIsNotCached(t *testing.T) {
	met := policy.Finding{Met: true}
	rejected, unsigned := policy.Finding{Reason: policy.Rejected}, policy.Finding{Reason: policy.Unsigned}
	cases := map[string]struct {
		first, second policy.Finding
		want          policy.Reason
		remembered    bool
	}{
		"yes and no":              {met, rejected, policy.Accepted, true},
		"no and yes":              {rejected, met, policy.Accepted, true},
		"doubt and yes":           {policy.Finding{}, met, policy.Accepted, true},
		"no and no":               {unsigned, rejected, policy.Rejected, true},
		"no and failure":          {rejected, policy.Finding{Reason: policy.Unavailable}, policy.Unavailable, false},
		"no and zero":             {rejected, policy.Finding{}, policy.Internal, false},
		"unsigned and doubt":      {unsigned, policy.Finding{Reason: policy.UnknownOrigin}, policy.Internal, false},
		"unsigned and a new word": {unsigned, policy.Finding{Reason: "maybe"}, policy.Internal, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			sources := n.sources()
			asked := 0
			sources.Generations, sources.Kinds = nil, kindsOf(
				func(context.Context, policy.JudgeRequest) policy.Finding {
					asked++
					return c.first
				},
				answering(c.second),
			)
			decider := newDecider(t, sources)
			for range 2 {
				wantReason(t, decider.Decide(t.Context(), ask(tagged)), c.want)
			}
			if again := asked == 2; again == c.remembered {
				t.Errorf("the first judge was called %d times, want cached=%t", asked, c.remembered)
			}
		})
	}
}

func TestAPanicAnywhereDenies(t *testing.T) {
	cases := map[string]func(*policy.Sources){
		"in documents": func(s *policy.Sources) { s.Documents = func() *policy.Set { panic("here") } },
		"in image": func(s *policy.Sources) {
			s.Image = func(context.Context, policy.Question) (*policy.Image, error) { panic("here") }
		},
		"in lookup": func(s *policy.Sources) {
			s.Lookup = func([]policy.Manifest, reference.Named) policy.StoredEvidence { panic("here") }
		},
		"in refetch": func(s *policy.Sources) { s.Refetch = func(policy.Check) { panic("here") } },
		"in a judge": func(s *policy.Sources) {
			s.Kinds[policy.SignedBy].Judges[0].Func = func(context.Context, policy.JudgeRequest) policy.Finding {
				panic("here")
			}
		},
		"in generations": func(s *policy.Sources) { s.Generations = []func() uint64{func() uint64 { panic("here") }} },
		"in confirm": func(s *policy.Sources) {
			image, _ := s.Image(context.Background(), policy.Question{})
			image.Confirmed = false
			s.Confirm = func(policy.Question) { panic("here") }
		},
	}
	for name, breakIt := range cases {
		t.Run(name, func(t *testing.T) {
			sources := newNode(t, signedBy("alice")).sources()
			breakIt(&sources)
			decider := newDecider(t, sources)
			for range 2 {
				verdict := decider.Decide(t.Context(), ask(tagged))
				wantReason(t, verdict, policy.Internal)
				if verdict.Detail != "panic in a decision: here" {
					t.Errorf("detail = %q, want the panic's value", verdict.Detail)
				}
			}
		})
	}
}
