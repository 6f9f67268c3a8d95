package audit

import (
	"context"
	"log/slog"
	"time"

	"github.com/countersign/countersign/policy"
)

// Pull is what is known of one pull that containerd's image verifier asked about. Its zero value is of a pull that
// was refused.
type Pull struct {
	// Time is when the question arrived, and Took how long the answer took.
	Time time.Time
	Took time.Duration
	// Name and Digest are what is pulled, as containerd resolved it.
	Name, Digest string
	// Outcome is what became of the pull. It is admitted with a verdict that denies, too: only one that is final, for
	// every namespace of this node, refuses a pull.
	Outcome policy.Outcome
	// Mode is [Audit] where some namespace is in that mode: then no pull is refused.
	Mode Mode
	// Verdict is that of the document that comes nearest to admitting the image.
	Verdict policy.Verdict
}

// WouldDeny reports whether the pull would have been refused, were no namespace in audit mode.
func (p Pull) WouldDeny() bool {
	return p.Outcome == policy.Admit && (p.Verdict.Reason == policy.Rejected || p.Verdict.Reason == policy.Unsigned)
}

// WritePull writes the record of one pull, as the message "pull", at level warn if it is refused or would have been.
// Its time is the record's own. The error is the handler's.
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
