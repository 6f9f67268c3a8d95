package policy

import (
	"fmt"
	"strings"
	"time"
)

// Finding is a judge's answer. The zero Finding means that the requirement is not met.
type Finding struct {
	Met bool
	// Reason is [Rejected] or [Unsigned] if the judge could decide and the requirement is not met. If it could not, the
	// reason is [Pending], [Unavailable], [InvalidPolicy] or [Internal]; such a finding is never cached. Any other value
	// counts as [Internal]. With Met it is empty or [Accepted].
	Reason Reason
	// Detail is for the operator.
	Detail string
	// Cause is why the requirement is not met, with [Rejected] and [Unsigned].
	Cause Cause
	// NoIdentity reports, with [Rejected], whether only a name is missing: there is a valid signature of this manifest
	// that names no repository, so nothing ties it to the reference. The operator decides whether the digest is enough:
	// see [Sources].
	NoIdentity bool
	// ExpiresAt is when the finding expires; zero: never.
	ExpiresAt time.Time
}

// maxDetails limits the merged details of findings, in bytes.
const maxDetails = 4 << 10

// merge returns one finding for two that are not met: the one after which a retry is more likely to succeed. If both
// have the same rank, the result has both details.
func (f Finding) merge(other Finding) Finding {
	switch {
	case f.Reason == "" || other.retryRank() > f.retryRank():
		return other
	case other.retryRank() == f.retryRank():
		f.Detail, f.Cause = f.appendDetail(other.Detail), f.Cause.Nearer(other.Cause)
	}
	return f
}

// appendDetail returns the finding with a further detail, unless it already contains it.
func (f Finding) appendDetail(detail string) string {
	switch {
	case detail == "" || strings.Contains(f.Detail, detail) || len(f.Detail) > maxDetails:
		return f.Detail
	case f.Detail == "":
		return detail
	default:
		return f.Detail + "; " + detail
	}
}

// retryRank orders findings that are not met, as [Reason.retryRank] does. A signature that lacks only a name is the
// rejection that is nearest to acceptance, and advice about it is the most useful.
func (f Finding) retryRank() int {
	if f.NoIdentity {
		return 2*f.Reason.retryRank() + 1
	}
	return 2 * f.Reason.retryRank()
}

// validated returns the finding if its fields are consistent, or one that reports a bug of the judge: a failure must
// not be taken for a result.
func (f Finding) validated() Finding {
	switch f.Reason {
	case "", Accepted:
		if f.Met && notExpired(f.ExpiresAt) {
			return f
		}
	case Rejected, Unsigned, Pending, Unavailable, InvalidPolicy, Internal:
		if !f.Met && (!f.NoIdentity || f.Reason == Rejected && notExpired(f.ExpiresAt)) {
			return f
		}
	case UnknownOrigin, BadRequest:
	}
	detail := fmt.Sprintf("a judge found met=%t, reason %q, until %v: %s", f.Met, f.Reason, f.ExpiresAt, f.Detail)
	return Finding{Reason: Internal, Detail: detail}
}
