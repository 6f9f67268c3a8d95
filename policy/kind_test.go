package policy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
)

func TestARequirementOfAKindThatIsNotInTheTableDenies(t *testing.T) {
	foreign := &policy.Requirement{ID: digestOf("foreign"), Kind: "foreign"}
	for name, requirements := range map[string][]*policy.Requirement{
		"alone":                   {foreign},
		"after one that is met":   {acceptAnything(), foreign},
		"before one that is met":  {foreign, acceptAnything()},
		"before a rejection":      {foreign, rejectAll()},
		"without a kind":          {{ID: digestOf("none")}},
		"that needs evidence too": {{ID: digestOf("needs"), Kind: "foreign", NeedsEvidence: true}},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := decide(t, newNode(t, requirements...), tagged)
			wantReason(t, verdict, policy.Internal)
			if !strings.Contains(verdict.Detail, "no judge for requirements of kind") {
				t.Errorf("detail %q", verdict.Detail)
			}
		})
	}
}

func TestOnlyTheJudgesOfAKindAreCalled(t *testing.T) {
	var asked []string
	judge := func(name string) policy.Judge {
		return policy.Judge{Name: name, Func: func(context.Context, policy.JudgeRequest) policy.Finding {
			asked = append(asked, name)
			return policy.Finding{Reason: policy.Rejected}
		}}
	}
	sources := newNode(t, signedBy("alice")).sources()
	sources.Kinds = policy.Kinds{
		policy.SignedBy: {Judges: []policy.Judge{judge("one"), judge("two")}},
		policy.Reject:   {Judges: []policy.Judge{judge("other")}},
	}
	wantReason(t, newDecider(t, sources).Decide(t.Context(), ask(tagged)), policy.Rejected)
	if got := strings.Join(asked, " "); got != "one two" {
		t.Errorf("called %s, want one two", got)
	}
}
