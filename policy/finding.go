package policy

import (
	"fmt"
	"strings"
	"time"
)

// Finding is a judge's answer. The zero Finding says that the requirement is not met.
type Finding struct {
	Met bool
	// Reason is [Rejected] or [Unsigned] when the judge looked and the requirement is not met. When it could not find
	// out it is [Pending], [Unavailable], [InvalidPolicy] or [Internal], for which any other is taken: such a finding
	// is never cached. With Met it is empty or [Accepted].
	Reason Reason
	// Detail is for the operator.
	Detail string
	// Cause is why the requirement is not met, with [Rejected] and [Unsigned].
	Cause Cause
	// NoIdentity reports, with [Rejected], whether all that the requirement needs was found but a name: a valid signature
	// of this very manifest that names no repository, so that nothing ties it to the reference. The operator decides
	// whether the digest alone is enough: see [Sources].
	NoIdentity bool
	// ExpiresAt is when the finding expires; zero: never.
	ExpiresAt time.Time
}

// maxDetails bounds, in bytes, the merged details of findings.
const maxDetails = 4 << 10

// merge returns what two findings, neither of which is met, say together: the one after which a retry is more likely to
// succeed. Two of the same rank become one with the details of both: the detail of a verdict is what the best of its
// steps say.
func (f Finding) merge(other Finding) Finding {
	switch {
	case f.Reason == "" || other.retryRank() > f.retryRank():
		return other
	case other.retryRank() == f.retryRank():
		f.Detail, f.Cause = f.appendDetail(other.Detail), f.Cause.Nearer(other.Cause)
	}
	return f
}

// appendDetail returns the finding's detail, with another appended that is not in it yet.
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
// nearest that a rejection comes to acceptance, and what to do about it is worth more than what is wrong with others.
func (f Finding) retryRank() int {
	if f.NoIdentity {
		return 2*f.Reason.retryRank() + 1
	}
	return 2 * f.Reason.retryRank()
}

// validated returns a finding that says what a judge may say, and else that something is wrong with the judge: what it
// could not find out must not pass for what it found.
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
