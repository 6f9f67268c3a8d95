package audit_test

import (
	"testing"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

func TestADocumentThatCannotBeUsedRefusesPullsOfItsNamespaceOnly(t *testing.T) {
	pull := audit.Pull{Verdict: policy.Verdict{Reason: policy.InvalidPolicy}}
	if pull.Final() {
		t.Error("it refuses a pull for all namespaces")
	}
	if pull.Namespace = "prod"; !pull.Final() {
		t.Error("it does not refuse a pull for its namespace")
	}
	pull.Verdict = policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
	if pull.Final() {
		t.Error("an accepted pull is refused")
	}
}

func TestAnUndeterminedPullWouldNotBeDenied(t *testing.T) {
	for reason, want := range map[policy.Reason]bool{
		policy.Accepted: false, policy.Rejected: true, policy.Unsigned: true, policy.Pending: false,
		policy.Unavailable: false, policy.InvalidPolicy: false, policy.Internal: false, policy.BadRequest: false,
	} {
		pull := audit.Pull{Outcome: policy.Admit, Verdict: policy.Verdict{Reason: reason}}
		if pull.WouldDeny() != want {
			t.Errorf("admitted with %s: would deny is %t, want %t", reason, pull.WouldDeny(), want)
		}
		if pull.Outcome = policy.Deny; pull.WouldDeny() {
			t.Errorf("refused with %s: it would not only have been", reason)
		}
	}
}
