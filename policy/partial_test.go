package policy_test

import (
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

func TestPartialEvidenceDoesNotCauseARefusal(t *testing.T) {
	for name, c := range map[string]struct {
		signed  string
		partial bool
		want    policy.Reason
	}{
		"all was read, and none is good":    {"mallory", false, policy.Rejected},
		"a part was read, and none is good": {"mallory", true, policy.Unavailable},
		"a part was read, and one is good":  {"mallory alice", true, policy.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.signed(map[string]string{tagged: c.signed})
			whole := n.kept
			n.kept = func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
				kept := whole(manifests, ref)
				for i := range kept {
					kept[i].Partial, kept[i].Detail = c.partial, "the registry failed"
				}
				return kept
			}
			got := decide(t, n, tagged)
			wantReason(t, got, c.want)
			if c.want == policy.Unavailable && !strings.HasPrefix(got.Detail, "the registry failed; ") {
				t.Errorf("the detail is %q", got.Detail)
			}
		})
	}
}

// TestPartialEvidenceIsJudgedOnce: an attempt is answered in time although the judges took longer than that before.
func TestPartialEvidenceIsJudgedOnce(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "mallory"})
	whole := n.kept
	n.kept = func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
		kept := whole(manifests, ref)
		for i := range kept {
			kept[i].Partial, kept[i].Detail = true, "the registry failed"
		}
		return kept
	}
	decider := n.decider(t)
	for range 3 {
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Unavailable)
	}
	if judged := n.judged.Load(); judged != 1 {
		t.Errorf("the evidence was judged %d times, want once", judged)
	}
}
