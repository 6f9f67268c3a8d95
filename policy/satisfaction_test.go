package policy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

// satisfied returns sources that collect satisfactions.
func satisfied(n *node, into *[]policy.Satisfaction) policy.Sources {
	sources := n.sources()
	sources.Satisfied = func(s policy.Satisfaction) { *into = append(*into, s) }
	return sources
}

func TestWhatMetARequirementIsReportedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		requirements []*policy.Requirement
		signers      string
		want         []string
	}{
		"one requirement is met": {[]*policy.Requirement{signedBy("alice")}, "alice", []string{"alice"}},
		"both requirements are met": {
			[]*policy.Requirement{signedBy("alice"), signedBy("bob")}, "alice bob", []string{"alice", "bob"},
		},
		"the first of two is met": {
			[]*policy.Requirement{signedBy("alice"), signedBy("bob")}, "alice", []string{"alice"},
		},
		"none is met":                       {[]*policy.Requirement{signedBy("alice")}, "bob", nil},
		"the requirement needs no evidence": {[]*policy.Requirement{acceptAnything()}, "alice", nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, test.requirements...)
			n.signed(map[string]string{tagged: test.signers})
			var got []policy.Satisfaction
			decider := newDecider(t, satisfied(n, &got))
			decider.Decide(t.Context(), ask(tagged))
			if len(got) != len(test.want) {
				t.Fatalf("%d satisfactions are reported, want %d", len(got), len(test.want))
			}
			for i, who := range test.want {
				if got[i].Requirement() != string(signedBy(who).ID) || got[i].Reference.String() != tagged ||
					got[i].Evidence.Directory != test.signers {
					t.Errorf("%+v", got[i])
				}
				for signers, want := range map[string]bool{who: true, "mallory": false, "": false} {
					single := evidenceOf(got[i].Evidence.Manifest, signers)
					if met := got[i].MetBy(t.Context(), single); met != want {
						t.Errorf("met by %q: %v", signers, met)
					}
				}
				if got[i].MetBy(t.Context(), evidenceOf(digestOf("another manifest"), who)) {
					t.Error("met by evidence of another manifest")
				}
			}
			decider.Decide(t.Context(), ask(tagged))
			if verdict := decider.Decide(t.Context(), ask(tagged)); verdict.Admitted() && len(got) != len(test.want) {
				t.Error("a cached answer is reported again")
			}
		})
	}
}

// withSatisfied has the node store, for its image, what met a requirement before and everything else.
func (n *node) withSatisfied(satisfied, all string, generation uint64) {
	n.kept = func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
		evidence := evidenceOf(manifests[0].Digest, all)
		evidence.Generation = generation
		evidence.Satisfied = policy.SatisfiedEvidence{Generation: 1, Directory: satisfied, Signatures: 1}
		return policy.StoredEvidence{evidence}
	}
}

func TestWhatMetARequirementBeforeIsJudgedFirst(t *testing.T) {
	for name, test := range map[string]struct {
		satisfied, all string
		want           policy.Reason
		judged         []string
		reported       int
	}{
		"it still does":                   {"alice", "junk", policy.Accepted, []string{"alice"}, 0},
		"other files meet it now":         {"bob", "alice", policy.Accepted, []string{"bob", "alice"}, 1},
		"nothing meets it":                {"bob", "junk", policy.Rejected, []string{"bob", "junk"}, 0},
		"the others have not been read":   {"alice", "?", policy.Accepted, []string{"alice"}, 0},
		"the others cannot be fetched":    {"alice", "!", policy.Accepted, []string{"alice"}, 0},
		"neither can be judged":           {"bob", "!", policy.Unavailable, []string{"bob"}, 0},
		"there is nothing that did":       {"", "alice", policy.Accepted, []string{"alice"}, 1},
		"there is nothing that met it":    {"", "junk", policy.Rejected, []string{"junk"}, 0},
		"there is nothing at all, so far": {"", "?", policy.Pending, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.withSatisfied(test.satisfied, test.all, 1<<20)
			var judged []string
			n.judge = func(ctx context.Context, request policy.JudgeRequest) policy.Finding {
				judged = append(judged, request.Evidence.Directory)
				return readSigners(ctx, request)
			}
			var reported []policy.Satisfaction
			verdict, steps := explained(t.Context(), newDecider(t, satisfied(n, &reported)), ask(tagged))
			wantReason(t, verdict, test.want)
			if strings.Join(judged, ", ") != strings.Join(test.judged, ", ") || len(reported) != test.reported {
				t.Errorf("judged %q, reported %d, want %q and %d", judged, len(reported), test.judged, test.reported)
			}
			if len(steps) != 1 || steps[0].Finding.Met != verdict.Admitted() {
				t.Errorf("the steps are %+v", steps)
			}
		})
	}
}

// TestNewFilesDoNotHaveASatisfiedRequirementJudgedAgain: whoever may push to the repository could have the node judge
// without end.
func TestNewFilesDoNotHaveASatisfiedRequirementJudgedAgain(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	decider := n.decider(t)
	for generation := range uint64(20) {
		n.withSatisfied("alice", "junk", generation+2)
		n.generation.Add(1)
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
	}
	if judged := n.judged.Load(); judged != 1 {
		t.Errorf("it was judged %d times", judged)
	}
}

func TestASignatureWithoutANameSatisfiesWhereTheDigestIsEnough(t *testing.T) {
	for enough, want := range map[bool]int{true: 1, false: 0} {
		n := newNode(t, signedBy("alice"))
		n.signed(map[string]string{tagged: "alice"})
		n.judge = answering(policy.Finding{Reason: policy.Rejected, NoIdentity: true})
		var got []policy.Satisfaction
		sources := satisfied(n, &got)
		sources.NoIdentity = func(string) bool { return enough }
		verdict := newDecider(t, sources).Decide(t.Context(), ask(tagged))
		if verdict.Admitted() != enough || len(got) != want {
			t.Errorf("the digest is enough: %v; admitted: %v, reported: %d", enough, verdict.Admitted(), len(got))
		}
		if len(got) > 0 && !got[0].MetBy(t.Context(), got[0].Evidence) {
			t.Error("it is not met by the same evidence")
		}
	}
}
