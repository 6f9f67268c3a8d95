package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Outcome is whether a container may be created. Its zero value denies.
type Outcome uint8

// The two outcomes.
const (
	Deny Outcome = iota
	Admit
)

// String returns "deny" or "admit".
func (o Outcome) String() string {
	if o == Admit {
		return "admit"
	}
	return "deny"
}

// Reason is the reason of a verdict in one word, which is the same in events, audit log and metrics.
type Reason string

// All reasons.
const (
	// Accepted is the only reason of a verdict that admits.
	Accepted Reason = "accepted"
	// Rejected: the policy refuses the image, or there are signatures and none satisfies it.
	Rejected Reason = "rejected"
	// Unsigned: a signature is required, the registry was asked, and there is none.
	Unsigned Reason = "unsigned"
	// Pending: not known yet, and being determined.
	Pending Reason = "pending"
	// Unavailable: the required data could not be fetched.
	Unavailable Reason = "unavailable"
	// InvalidPolicy: the document of the namespace cannot be used.
	InvalidPolicy Reason = "invalid-policy"
	// UnknownOrigin: the image was not obtained under the pod's reference, or the container runs another image.
	UnknownOrigin Reason = "unknown-origin"
	// BadRequest: the request is malformed.
	BadRequest Reason = "bad-request"
	// Internal: a bug in countersign.
	Internal Reason = "internal"
)

// Final reports whether a denial with this reason is certain, so that asking again cannot bring another answer before
// something changes.
func (r Reason) Final() bool {
	switch r {
	case Rejected, Unsigned, InvalidPolicy, UnknownOrigin, BadRequest:
		return true
	case Accepted, Pending, Unavailable, Internal:
		return false
	default:
		return false
	}
}

// Reasons returns every reason, for metrics that start at zero.
func Reasons() []Reason {
	return []Reason{
		Accepted, Rejected, Unsigned, Pending, Unavailable, InvalidPolicy, UnknownOrigin, BadRequest, Internal,
	}
}

// Verdict is the answer to a [Question]. The zero Verdict denies.
type Verdict struct {
	Outcome Outcome
	Reason  Reason
	// Reference is the normalised reference that was judged. The pod may contain another one.
	Reference string
	// Digest is the manifest or index that decided, if there is one.
	Digest digest.Digest
	// Document and Scope are the rule that decided. The scope of a document's default is empty.
	Document string
	Scope    string
	// Requirement is the kind of the requirement that was not met, if there is one.
	Requirement Kind
	// Unmet is that requirement, and Cause why it is not met.
	Unmet *Requirement
	Cause Cause
	// NoIdentity reports whether a valid signature that names no repository would meet this requirement if that were
	// accepted.
	NoIdentity bool
	// Detail is for the operator: it may contain references and keys that the pod's author must not see.
	Detail string
	// WouldDeny is the verdict if the requirements were enforced that are only audited, where that one denies and this one
	// admits. It is nil otherwise.
	WouldDeny *Verdict
	// Cached reports whether the answer came from a cache, so that no judge was called.
	Cached bool
}

// Admitted reports whether the container may be created.
func (v Verdict) Admitted() bool { return v.Outcome == Admit }

// RejectsAll reports whether the policy rejects the image regardless of its signatures.
func (v Verdict) RejectsAll() bool { return v.Reason == Rejected && v.Requirement == Reject }

// Refusal is an error that denies with a reason. Other errors deny as [Internal].
type Refusal struct {
	Reason Reason
	// Detail is for the operator.
	Detail string
	// Document is the path of the document that caused it, if there is one.
	Document string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

// Refuse returns a [*Refusal].
func Refuse(reason Reason, format string, args ...any) error {
	return refuse(reason, format, args...)
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Denial returns the verdict that denies because of an error. Expired deadlines deny as [Pending]: the next attempt
// finds the answer, unless the same thing still blocks.
func Denial(err error) Verdict {
	if why := (*Refusal)(nil); errors.As(err, &why) && why.Reason != "" && why.Reason != Accepted {
		return Verdict{Reason: why.Reason, Document: why.Document, Detail: err.Error()}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Verdict{Reason: Pending, Detail: err.Error()}
	}
	return Verdict{Reason: Internal, Detail: err.Error()}
}

// Or returns that of two refusals after which a retry is more likely to succeed, or the first if both are equally
// likely; the zero Verdict stands for none. If several references or images are judged and none is admitted, the best
// refusal is reported, because the image may be admitted soon.
func (v Verdict) Or(other Verdict) Verdict {
	if v.Reason == "" || other.Reason != "" && other.retryRank() > v.retryRank() {
		return other
	}
	return v
}

// retryRank orders refusals like the findings that caused them.
func (v Verdict) retryRank() int {
	return Finding{Reason: v.Reason, NoIdentity: v.NoIdentity}.retryRank()
}

// retryRank orders reasons by how likely it is that a retry has another result. Of several refusals the best is
// reported, because the container may be admitted soon.
func (r Reason) retryRank() int {
	switch r {
	case Pending:
		return 5
	case Unavailable:
		return 4
	case Internal:
		return 3
	case InvalidPolicy:
		return 2
	case Rejected:
		return 1
	default:
		return 0
	}
}
