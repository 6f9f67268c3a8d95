package pull_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy"
)

// onlyAudited returns a requirement of a signature that is only audited.
func onlyAudited() *policy.Requirement {
	made := requirement(policy.SigstoreSigned, true)
	made.Audit, made.ID = true, digest.FromString("audited")
	return made
}

// TestAPullIsDecidedByWhatIsEnforcedAndReportedByWhatIsAudited: nothing that happens while the audited requirement is
// evaluated changes the verdict.
func TestAPullIsDecidedByWhatIsEnforcedAndReportedByWhatIsAudited(t *testing.T) {
	index := digest.FromString("index")
	accept, reject := requirement(policy.InsecureAcceptAnything, false), requirement(policy.Reject, false)
	for name, test := range map[string]struct {
		enforced *policy.Requirement
		node     *pullNode
		// record is the reason that is recorded.
		record    policy.Reason
		wouldDeny bool
		// reads is how often an image is read from the registry.
		reads int
	}{
		"unsigned": {accept, &pullNode{remote: pulledImage("manifest", "index")}, policy.Unsigned, true, 1},
		"signed": {
			accept,
			&pullNode{
				remote: pulledImage("manifest", "index"), fetchFinds: map[digest.Digest]policy.State{index: policy.Found},
			},
			policy.Accepted, false, 1,
		},
		"the registry does not answer in time": {accept, &pullNode{hang: true}, policy.Accepted, false, 1},
		"the registry fails":                   {accept, &pullNode{readErr: errors.New("503")}, policy.Accepted, false, 1},
		"its answer panics":                    {accept, &pullNode{panics: true}, policy.Accepted, false, 1},
		"rejected":                             {reject, &pullNode{hang: true}, policy.Rejected, false, 0},
	} {
		for _, namespace := range []string{"prod", ""} {
			t.Run(name+" in namespace "+namespace, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := &pullNode{
						set: oneDocument(test.enforced, onlyAudited()), remote: test.node.remote, readErr: test.node.readErr,
						fetchFinds: test.node.fetchFinds, hang: test.node.hang, panics: test.node.panics,
					}
					n.endpoint(t)
					ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
					defer cancel()
					record := n.gate.Decide(ctx, pull.Request{Reference: pullName, Target: index, Namespace: namespace})
					n.gate.Wait()
					refused := test.enforced == reject
					if (record.Outcome == policy.Deny) != refused || (pull.Refusal(record) != "") != refused {
						t.Errorf("%s, and the kubelet receives %q", record.Outcome, pull.Refusal(record))
					}
					if record.Verdict.Reason != test.record || record.WouldDeny() != test.wouldDeny {
						t.Errorf("recorded is %s (%s), would deny: %t", record.Verdict.Reason, record.Verdict.Detail, record.WouldDeny())
					}
					if (record.Mode == audit.Audit) != test.wouldDeny {
						t.Errorf("the mode is %q", record.Mode)
					}
					if n.reads != test.reads {
						t.Errorf("%d images were read from the registry, want %d", n.reads, test.reads)
					}
				})
			})
		}
	}
}

// TestAPullIsNotReportedIfAnotherDocumentAdmitsIt also with all of its requirements.
func TestAPullIsNotReportedIfAnotherDocumentAdmitsIt(t *testing.T) {
	n := &pullNode{
		set:    oneDocument(requirement(policy.InsecureAcceptAnything, false), onlyAudited()),
		remote: pulledImage("manifest", "index"),
	}
	n.set.Namespaces = map[string]policy.Source{
		"dev": oneDocument(requirement(policy.InsecureAcceptAnything, false)).System,
	}
	n.endpoint(t)
	for namespace, want := range map[string]bool{"": false, "dev": false, "prod": true} {
		record := n.gate.Decide(t.Context(), pull.Request{
			Reference: pullName, Target: digest.FromString("index"), Namespace: namespace,
		})
		if record.Outcome != policy.Admit || record.WouldDeny() != want {
			t.Errorf("in namespace %q: %s, would deny: %t", namespace, record.Outcome, record.WouldDeny())
		}
	}
}

func TestTheVerifierIsToldOfAuditMode(t *testing.T) {
	n := pullNode{
		set:    oneDocument(requirement(policy.InsecureAcceptAnything, false), onlyAudited()),
		remote: pulledImage("manifest", "index"),
	}
	answer, err := n.endpoint(t).Answer(t.Context(), pullRequest())
	if err != nil || answer.Decision != socket.Admit || !strings.Contains(answer.Message, "audit mode") {
		t.Errorf("%+v, %v", answer, err)
	}
}
