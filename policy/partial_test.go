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
