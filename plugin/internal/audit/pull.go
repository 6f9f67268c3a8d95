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
	// Name and Digest are the reference and digest of the image, as containerd resolved them.
	Name, Digest string
	// Outcome is what happened to the pull. A pull may be admitted although the verdict denies: only a verdict that is
	// final for every namespace of this node refuses a pull.
	Outcome policy.Outcome
	// Mode is [Audit] if some namespace is in audit mode: then no pull is refused.
	Mode Mode
	// Verdict is the verdict of the document that is closest to admitting the image.
	Verdict policy.Verdict
}

// WouldDeny reports whether the pull would have been refused if no namespace were in audit mode.
func (p Pull) WouldDeny() bool {
	return p.Outcome == policy.Admit && (p.Verdict.Reason == policy.Rejected || p.Verdict.Reason == policy.Unsigned)
}

// WritePull writes the record of one pull with the message "pull", at level warn if the pull is refused or would be.
// Its time is the record's own. It returns the handler's error.
func (l *Log) WritePull(ctx context.Context, p Pull) error {
	record := slog.NewRecord(p.Time, level(p.Outcome, p.WouldDeny()), "pull", 0)
	record.AddAttrs(
		slog.String("outcome", p.Outcome.String()),
		slog.String("reason", string(p.Verdict.Reason)),
		slog.String("mode", string(p.Mode)),
		slog.Bool("would_deny", p.WouldDeny()),
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
