package pull

import (
	"context"
	"errors"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// Final reports whether a verdict for all namespaces refuses the pull: see [audit.Pull.Final].
func Final(verdict policy.Verdict) bool { return audit.Pull{Verdict: verdict}.Final() }

// Undetermined returns the verdict for an error that prevented a determination.
func Undetermined(err error) policy.Verdict {
	if refusal := (*policy.Refusal)(nil); errors.As(err, &refusal) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) {
		return policy.Denial(err)
	}
	return policy.Denial(policy.Refuse(policy.Unavailable, "%v", err))
}

func isFound(evidence policy.Evidence) bool { return evidence.State == policy.Found }
