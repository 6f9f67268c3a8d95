package audit

import (
	"time"

	"github.com/countersign/countersign/policy"
)

// Pull is the record of one pull. Its zero value describes a refused pull.
type Pull struct {
	// Time is when the request arrived, and Took how long the answer took.
	Time time.Time
	Took time.Duration
	// Name and Digest are the reference and digest of the image, as the client has them. The digest is empty if the client
	// did not resolve the reference.
	Name, Digest string
	// Namespace and Pod name the pod that needs the image. They are empty if the client does not know the pod: then the
	// image is evaluated for all namespaces of this node.
	Namespace, Pod string
	// Outcome is what happened to the pull. A pull may be admitted although the verdict denies: see [Pull.Final].
	Outcome policy.Outcome
	// Mode is [Audit] if the namespace is in audit mode, or without one, if any namespace is, or if the verdict is that of
	// requirements that are only audited: then no pull is refused.
	Mode Mode
	// Verdict is the verdict of the namespace's document, or without one, of the document that is closest to admitting the
	// image.
	Verdict policy.Verdict
}

// Final reports whether the verdict refuses the pull if it is enforced, because no retry would end differently. With
// any other reason the image may be admitted by the time a container is created. A document that cannot be used is
// final for its own namespace only.
func (p Pull) Final() bool {
	switch p.Verdict.Reason {
	case policy.Rejected, policy.Unsigned:
		return !p.Verdict.Admitted()
	case policy.InvalidPolicy:
		return p.Namespace != "" && !p.Verdict.Admitted()
	default:
		return false
	}
}

// WouldDeny reports whether the pull would have been refused if everything were enforced.
func (p Pull) WouldDeny() bool { return p.Outcome == policy.Admit && p.Final() }
