package policy_test

import (
	"testing"

	"github.com/countersign/countersign/policy"
)

// audited returns a requirement in audit mode.
func audited(requirement *policy.Requirement) *policy.Requirement {
	made := *requirement
	made.Audit, made.ID = true, digestOf("audited "+string(requirement.ID))
	return &made
}

// TestAnAuditedRequirementIsReportedAndRefusesNothing: the verdict is that of the enforced requirements, and WouldDeny
// is what enforcing all of them would refuse.
func TestAnAuditedRequirementIsReportedAndRefusesNothing(t *testing.T) {
	type list = []*policy.Requirement
	alice, bob, anything := signedBy("alice"), signedBy("bob"), acceptAnything()
	for name, test := range map[string]struct {
		list   list
		signed string
		want   policy.Reason
		would  policy.Reason
	}{
		"it is met":                      {list{anything, audited(bob)}, "bob", policy.Accepted, ""},
		"it is not met":                  {list{anything, audited(bob)}, "", policy.Accepted, policy.Unsigned},
		"another has signed":             {list{anything, audited(bob)}, "alice", policy.Accepted, policy.Rejected},
		"both have signed":               {list{alice, audited(bob)}, "alice bob", policy.Accepted, ""},
		"the enforced one is met":        {list{alice, audited(bob)}, "alice", policy.Accepted, policy.Rejected},
		"it comes first":                 {list{audited(bob), alice}, "alice", policy.Accepted, policy.Rejected},
		"the enforced one is not met":    {list{alice, audited(bob)}, "bob", policy.Rejected, ""},
		"none is met":                    {list{audited(bob), alice}, "mallory", policy.Rejected, ""},
		"it rejects all":                 {list{alice, audited(rejectAll())}, "alice", policy.Accepted, policy.Rejected},
		"it is not known yet":            {list{anything, audited(bob)}, "?", policy.Accepted, policy.Pending},
		"it cannot be known":             {list{anything, audited(bob)}, "!", policy.Accepted, policy.Unavailable},
		"nothing can meet it":            {list{alice, audited(problem())}, "alice", policy.Accepted, policy.InvalidPolicy},
		"an enforced one rejects":        {list{rejectAll(), audited(bob)}, "bob", policy.Rejected, ""},
		"no requirement is enforced":     {list{audited(bob)}, "bob", policy.InvalidPolicy, ""},
		"none is, and anything is met":   {list{audited(acceptAnything())}, "", policy.InvalidPolicy, ""},
		"the list is empty nevertheless": {list{}, "", policy.InvalidPolicy, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, test.list...)
			if test.signed != "" {
				n.signed(map[string]string{tagged: test.signed})
			}
			decider := n.decider(t)
			for range 2 { // The second time, what can be cached is.
				check := func(verdict policy.Verdict) {
					t.Helper()
					wantReason(t, verdict, test.want)
					var would policy.Reason
					if verdict.WouldDeny != nil {
						would = verdict.WouldDeny.Reason
					}
					if would != test.would {
						t.Errorf("enforcing would give %q, want %q", would, test.would)
					}
				}
				check(decider.Decide(t.Context(), ask(tagged)))
				check(decider.Explain(t.Context(), ask(tagged)).Verdict)
			}
		})
	}
}

// TestTheReportOfAnAuditedRequirementFollowsTheEvidence: an image that is admitted in any case is not remembered with
// an old report.
func TestTheReportOfAnAuditedRequirementFollowsTheEvidence(t *testing.T) {
	n := newNode(t, acceptAnything(), audited(signedBy("bob")))
	decider := n.decider(t)
	for _, test := range []struct {
		signed string
		would  policy.Reason
	}{{"?", policy.Pending}, {"!", policy.Unavailable}, {"bob", ""}, {"bob", ""}} {
		n.signed(map[string]string{tagged: test.signed})
		n.generation.Add(1)
		verdict := decider.Decide(t.Context(), ask(tagged))
		wantReason(t, verdict, policy.Accepted)
		var would policy.Reason
		if verdict.WouldDeny != nil {
			would = verdict.WouldDeny.Reason
		}
		if would != test.would {
			t.Errorf("signed by %q: enforcing would give %q, want %q", test.signed, would, test.would)
		}
	}
}

// TestTheStepsAreThoseOfTheVerdict: they show the audited requirement if only that one is not met.
func TestTheStepsAreThoseOfTheVerdict(t *testing.T) {
	last := func(list ...*policy.Requirement) int {
		n := newNode(t, list...)
		n.signed(map[string]string{tagged: "alice"})
		steps := n.decider(t).Explain(t.Context(), ask(tagged)).Steps
		return steps[len(steps)-1].Index
	}
	if got := last(signedBy("alice"), audited(signedBy("bob"))); got != 1 {
		t.Errorf("the last step is about requirement %d, want the audited one", got)
	}
	if got := last(audited(signedBy("bob")), signedBy("carol")); got != 1 {
		t.Errorf("the last step is about requirement %d, want the enforced one", got)
	}
}

// TestAnAuditedRequirementRefusesNoPull, unless it is asked what enforcing it would refuse.
func TestAnAuditedRequirementRefusesNoPull(t *testing.T) {
	for name, made := range map[string]*policy.Document{
		"in the list":         document("/prod.json", acceptAnything(), audited(signedBy("bob"))),
		"in a scope":          onlyAudited(repository, audited(signedBy("bob"))),
		"in the scope of tag": onlyAudited(tagged, audited(signedBy("bob"))),
	} {
		for _, namespace := range []string{"prod", ""} {
			t.Run(name+" in namespace "+namespace, func(t *testing.T) {
				n := newNode(t, rejectAll())
				n.set.Store(&policy.Set{Namespaces: map[string]policy.Source{"prod": {Document: made}}})
				decider := n.decider(t)
				q := policy.PullQuestion{Reference: normalized(t, tagged), Namespace: namespace, Image: imageOf(t, tagged)}
				wantReason(t, decider.DecidePull(t.Context(), q), policy.Accepted)
				if !decider.AuditsFor(q) || decider.RequiresSignatureFor(q) {
					t.Errorf("audits: %t, requires: %t", decider.AuditsFor(q), decider.RequiresSignatureFor(q))
				}
				q.Audited = true
				wantReason(t, decider.DecidePull(t.Context(), q), policy.Unsigned)
				if !decider.RequiresSignatureFor(q) || !decider.RequiresSignature(q.Reference) {
					t.Error("no signature is required")
				}
			})
		}
	}
}

func TestAnAdmissionWithAnAuditedRequirementAllocatesNothing(t *testing.T) {
	n := newNode(t, signedBy("alice"), audited(signedBy("bob")))
	n.signed(map[string]string{tagged: "alice bob"})
	decider := n.decider(t)
	q, ctx := ask(tagged), t.Context()
	wantReason(t, decider.Decide(ctx, q), policy.Accepted)
	if allocated := testing.AllocsPerRun(1000, func() { decider.Decide(ctx, q) }); allocated != 0 {
		t.Errorf("a cached decision allocates %v times, want 0", allocated)
	}
}

// onlyAudited returns a document that accepts every image, and enforces nothing in a scope.
func onlyAudited(scope string, requirements ...*policy.Requirement) *policy.Document {
	made := document("/prod.json", acceptAnything())
	made.Scopes = map[string][]*policy.Requirement{scope: append(requirements, acceptAnything())}
	made.OnlyAudited = map[string]int{scope: len(requirements)}
	return made
}

// TestAScopeThatOnlyAuditsDoesNotAskForItsTag: an image that was not obtained under the tag is refused only by a scope
// that enforces something.
func TestAScopeThatOnlyAuditsDoesNotAskForItsTag(t *testing.T) {
	for name, test := range map[string]struct {
		scope    string
		obtained string
		would    policy.Reason
	}{
		"it was obtained under the tag":         {tagged, tagged, policy.Unsigned},
		"it was obtained under another tag":     {tagged, repository + ":v2", policy.UnknownOrigin},
		"the scope is the repository":           {repository, repository + ":v2", policy.Unsigned},
		"it was obtained from another registry": {tagged, "other.example/app:v1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, rejectAll())
			n.runs(imageOf(t, test.obtained))
			made := onlyAudited(test.scope, audited(signedBy("bob")))
			n.set.Store(&policy.Set{Namespaces: map[string]policy.Source{"prod": {Document: made}}})
			explained := n.decider(t).Explain(t.Context(), ask(tagged))
			want := policy.Accepted
			if test.would == "" {
				want = policy.UnknownOrigin
			}
			wantReason(t, explained.Verdict, want)
			var would policy.Reason
			if explained.Verdict.WouldDeny != nil {
				would = explained.Verdict.WouldDeny.Reason
			}
			if would != test.would {
				t.Errorf("enforcing would give %q, want %q", would, test.would)
			}
		})
	}
}

// TestAnExplanationOfARefusalShowsWhatIsEnforced: its steps are those of another scope than the one that is audited.
func TestAnExplanationOfARefusalShowsWhatIsEnforced(t *testing.T) {
	n := newNode(t)
	made := onlyAudited(tagged, audited(signedBy("bob")))
	made.Default = []*policy.Requirement{signedBy("alice")}
	made.Scopes[tagged][1] = signedBy("alice")
	n.set.Store(&policy.Set{Namespaces: map[string]policy.Source{"prod": {Document: made}}})
	explained := n.decider(t).Explain(t.Context(), ask(tagged))
	wantReason(t, explained.Verdict, policy.Unsigned)
	selected := explained.Select(normalized(t, tagged))
	last := explained.Steps[len(explained.Steps)-1]
	if !selected.IsDefault || selected.List[last.Index].ID != signedBy("alice").ID {
		t.Errorf("selected %+v, the last step is %+v", selected, last)
	}
	n.signed(map[string]string{tagged: "alice"})
	explained = n.decider(t).Explain(t.Context(), ask(tagged))
	wantReason(t, explained.Verdict, policy.Accepted)
	if selected := explained.Select(normalized(t, tagged)); selected.Scope != tagged {
		t.Errorf("selected %+v", selected)
	}
}
