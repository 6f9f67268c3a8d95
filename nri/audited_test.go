package nri_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// wouldDeny returns a decision that admits, and would deny if a requirement were not only audited.
func wouldDeny(reason policy.Reason) func(context.Context, policy.Question) policy.Verdict {
	return func(context.Context, policy.Question) policy.Verdict {
		return policy.Verdict{
			Outcome: policy.Admit, Reason: policy.Accepted, WouldDeny: &policy.Verdict{Reason: reason},
		}
	}
}

// TestWhatAPolicyInAuditModeDeniesIsAdmittedAndReported, as in a namespace in audit mode.
func TestWhatAPolicyInAuditModeDeniesIsAdmittedAndReported(t *testing.T) {
	handler, reported := newHandler()
	handler.Decide = wouldDeny(policy.Unsigned)
	if err := handler.Validate(t.Context(), nri.NewContainerInfo(samplePod(), sampleContainer())); err != nil {
		t.Errorf("it is refused: %v", err)
	}
	reports := reported.list()
	if len(reports) != 1 || !reports[0].Audit || reports[0].Verdict.Reason != policy.Unsigned {
		t.Errorf("reports: %+v", reports)
	}
}

// TestOfSeveralImagesEachMayBeDeniedByAPolicyInAuditMode: on runtimes that report no image.
func TestOfSeveralImagesEachMayBeDeniedByAPolicyInAuditMode(t *testing.T) {
	first, second := digest.FromString("first"), digest.FromString("second")
	for _, denied := range []digest.Digest{first, second} {
		verdict, _ := nri.DecideEvery([]digest.Digest{first, second}, func(config digest.Digest) policy.Verdict {
			if config == denied {
				return wouldDeny(policy.Unsigned)(t.Context(), policy.Question{})
			}
			return policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
		})
		if !verdict.Admitted() || verdict.WouldDeny == nil {
			t.Errorf("the verdict is %+v", verdict)
		}
	}
}

// TestWhatAPolicyInAuditModeHasNotDecidedIsEvaluatedAgain: the kubelet does not ask again.
func TestWhatAPolicyInAuditModeHasNotDecidedIsEvaluatedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		asked := 0
		handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
			if asked++; asked < 3 {
				return wouldDeny(policy.Pending)(ctx, q)
			}
			return wouldDeny(policy.Rejected)(ctx, q)
		}
		wantToTheEnd(t, handler, reported, "[creation pending running pending running rejected]")
		for _, report := range reported.list() {
			if !report.Audit {
				t.Errorf("it is not reported as audited: %+v", report)
			}
		}
	})
}
