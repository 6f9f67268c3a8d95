package signature

import (
	"context"

	"github.com/countersign/countersign/policy"
)

// JudgeKeyless judges a requirement of which containers/image knows every field with the judge of the others, so that
// tests can compare the two.
func (j *Judge) JudgeKeyless(ctx context.Context, request policy.JudgeRequest) policy.Finding {
	judge, err := newOwn(request.Requirement.JSON)
	if err != nil {
		return unmet(policy.Internal, "%v", err)
	}
	other := NewJudge()
	other.requirements.Add(request.Requirement.ID, &compiled{own: judge})
	return other.Judge(ctx, request)
}
