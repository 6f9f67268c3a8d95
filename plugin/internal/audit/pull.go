package audit

import (
	"context"
	"log/slog"
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
	// Mode is [Audit] if the namespace is in audit mode, or without one, if any namespace is: then no pull is refused.
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

// WouldDeny reports whether the pull would have been refused in enforce mode.
func (p Pull) WouldDeny() bool { return p.Outcome == policy.Admit && p.Final() }

// WritePull writes the record of one pull with the message "pull", at level warn if the pull is refused or would be.
// Its time is the record's own. It returns the handler's error.
func (l *Log) WritePull(ctx context.Context, p Pull) error {
	record := slog.NewRecord(p.Time, level(p.Outcome, p.WouldDeny()), "pull", 0)
	record.AddAttrs(
		slog.String("outcome", p.Outcome.String()),
		slog.String("reason", string(p.Verdict.Reason)),
		slog.String("mode", string(p.Mode)),
		slog.Bool("would_deny", p.WouldDeny()),
		slog.String("namespace", p.Namespace),
		slog.String("pod", p.Pod),
		slog.String("reference", p.Name),
		slog.String("judged_reference", p.Verdict.Reference),
		slog.String("digest", p.Digest),
		slog.String("judged_digest", p.Verdict.Digest.String()),
		slog.String("document", p.Verdict.Document),
		slog.String("scope", p.Verdict.Scope),
		slog.String("detail", p.Verdict.Detail),
		slog.Float64("took_seconds", p.Took.Seconds()),
		slog.Int("schema", schema),
	)
	return l.handler.Handle(ctx, record)
}
