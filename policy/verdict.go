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

// Reason is one word that says why, the same in events, audit log and metrics.
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
	// Unavailable: fetching what is needed failed.
	Unavailable Reason = "unavailable"
	// InvalidPolicy: the document that governs the namespace cannot be used.
	InvalidPolicy Reason = "invalid-policy"
	// UnknownOrigin: the image was not obtained under the reference that the pod names, or what runs is not the image.
	UnknownOrigin Reason = "unknown-origin"
	// BadRequest: the question makes no sense.
	BadRequest Reason = "bad-request"
	// Internal: a bug in countersign.
	Internal Reason = "internal"
)

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
	// Reference is the one that was judged, normalised. The pod may not have written it.
	Reference string
	// Digest is the manifest or index that decided, where there is one.
	Digest digest.Digest
	// Document and Scope name the rule that decided. The scope of a document's default is empty.
	Document string
	Scope    string
	// Requirement is the kind of the requirement that was not met, where one was not.
	Requirement Kind
	// Unmet is that requirement, and Cause the reason it is not met.
	Unmet *Requirement
	Cause Cause
	// NoIdentity reports whether a valid signature that names no repository would meet this requirement, were that enough.
	NoIdentity bool
	// Detail is for the operator: it may name references and keys that the pod's author must not learn of.
	Detail string
	// Cached reports whether the answer came from a cache, so that no judge was asked.
	Cached bool
}

// Admitted reports whether the container may be created.
func (v Verdict) Admitted() bool { return v.Outcome == Admit }

// RejectsAll reports whether the policy rejects the image whatever signatures it has.
func (v Verdict) RejectsAll() bool { return v.Reason == Rejected && v.Requirement == Reject }

// Refusal is an error that denies with a reason. Other errors deny as [Internal].
type Refusal struct {
	Reason Reason
	// Detail is for the operator.
	Detail string
	// Document is the path of the document that is the cause, where one is.
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

// Denial returns the verdict that denies because of an error. Deadlines that passed deny as [Pending]: the next attempt
// finds the answer, unless what was blocked is blocked still.
func Denial(err error) Verdict {
	if why := (*Refusal)(nil); errors.As(err, &why) && why.Reason != "" && why.Reason != Accepted {
		return Verdict{Reason: why.Reason, Document: why.Document, Detail: err.Error()}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Verdict{Reason: Pending, Detail: err.Error()}
	}
	return Verdict{Reason: Internal, Detail: err.Error()}
}

// Or returns that of two refusals after which a retry is more likely to be admitted, or the first where both are
// equally likely; the zero Verdict is none. Where several references or images are judged and none is admitted,
// that one is reported, so that nobody gives up on an image that is about to be admitted.
func (v Verdict) Or(other Verdict) Verdict {
	if v.Reason == "" || other.Reason != "" && other.retryRank() > v.retryRank() {
		return other
	}
	return v
}

// retryRank orders refusals as the findings that they rest on.
func (v Verdict) retryRank() int {
	return Finding{Reason: v.Reason, NoIdentity: v.NoIdentity}.retryRank()
}

// retryRank orders reasons by how likely it is that asking again brings another answer. Of several refusals the
// best is reported, so that nobody gives up on a container that is about to be admitted.
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
