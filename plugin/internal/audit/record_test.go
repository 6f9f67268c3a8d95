package audit_test

import (
	"testing"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

func TestOutcomeIsWhatHappenedToTheContainer(t *testing.T) {
	denied := policy.Verdict{Outcome: policy.Deny, Reason: policy.Unsigned}
	unknown := policy.Verdict{Reason: policy.Unavailable}
	pending := policy.Verdict{Reason: policy.Pending}
	accepted := policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
	for name, test := range map[string]struct {
		record    audit.Record
		outcome   policy.Outcome
		wouldDeny bool
		drift     bool
	}{
		"a record of nothing is of a refusal": {
			audit.Record{}, policy.Deny, false, false,
		},
		"what is denied is refused": {
			audit.Record{Verdict: denied, Stage: audit.Creation, Mode: audit.Enforce}, policy.Deny, false, false,
		},
		"what is accepted is admitted": {
			audit.Record{Verdict: accepted, Stage: audit.Creation, Mode: audit.Enforce}, policy.Admit, false, false,
		},
		"what is denied in audit mode is admitted and would be refused": {
			audit.Record{Verdict: denied, Stage: audit.Creation, Mode: audit.Audit}, policy.Admit, true, false,
		},
		"what is pending in audit mode is admitted, and not known yet": {
			audit.Record{Verdict: pending, Stage: audit.Creation, Mode: audit.Audit}, policy.Admit, false, false,
		},
		"what is pending is refused": {
			audit.Record{Verdict: pending, Stage: audit.Creation, Mode: audit.Enforce}, policy.Deny, false, false,
		},
		"what is accepted in audit mode would not be refused": {
			audit.Record{Verdict: accepted, Stage: audit.Creation, Mode: audit.Audit}, policy.Admit, false, false,
		},
		"what already runs continues, and would be refused": {
			audit.Record{Verdict: denied, Stage: audit.Running, Mode: audit.Enforce}, policy.Admit, true, true,
		},
		"a running container in audit mode is not drift": {
			audit.Record{Verdict: denied, Stage: audit.Running, Mode: audit.Audit}, policy.Admit, true, false,
		},
		"a running container with an unknown verdict is not drift": {
			audit.Record{Verdict: unknown, Stage: audit.Running, Mode: audit.Enforce}, policy.Admit, true, false,
		},
		"a running container that is accepted is not drift": {
			audit.Record{Verdict: accepted, Stage: audit.Running, Mode: audit.Enforce}, policy.Admit, false, false,
		},
		"what is denied at the start does not run": {
			audit.Record{Verdict: denied, Stage: audit.Start, Mode: audit.Enforce}, policy.Deny, false, false,
		},
		"what is denied at the start in audit mode runs": {
			audit.Record{Verdict: denied, Stage: audit.Start, Mode: audit.Audit}, policy.Admit, true, false,
		},
		"an unknown mode enforces": {
			audit.Record{Verdict: denied, Stage: audit.Creation, Mode: "Audit"}, policy.Deny, false, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.record.Outcome(); got != test.outcome {
				t.Errorf("outcome %v, want %v", got, test.outcome)
			}
			if got := test.record.WouldDeny(); got != test.wouldDeny {
				t.Errorf("would_deny %v, want %v", got, test.wouldDeny)
			}
			if got := test.record.Drift(); got != test.drift {
				t.Errorf("drift %v, want %v", got, test.drift)
			}
		})
	}
}
