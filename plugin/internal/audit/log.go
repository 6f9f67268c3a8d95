package audit

import (
	"context"
	"log/slog"

	"github.com/countersign/countersign/policy"
)

// Log writes records.
type Log struct {
	handler slog.Handler
}

// New returns a log that writes to the logger's handler, but ignores its level: the log level must not suppress audit
// records.
func New(logger *slog.Logger) *Log {
	return &Log{handler: logger.Handler()}
}

// schema is the version of a record's keys. It changes if a key is removed or changes its meaning.
const schema = 1

// level is warn if the decision refused, or would have refused outside audit mode.
func level(outcome policy.Outcome, wouldDeny bool) slog.Level {
	if outcome != policy.Admit || wouldDeny {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Write writes one record with the message "decision", at level warn if it denies or would deny. Its time is the
// record's own. It returns the handler's error; the decision stands regardless.
func (l *Log) Write(ctx context.Context, r Record) error {
	record := slog.NewRecord(r.Time, level(r.Outcome(), r.WouldDeny()), "decision", 0)
	record.AddAttrs(
		slog.String("outcome", r.Outcome().String()),
		slog.String("reason", string(r.Verdict.Reason)),
		slog.String("stage", string(r.Stage)),
		slog.String("mode", string(r.Mode)),
		slog.Bool("would_deny", r.WouldDeny()),
		slog.Bool("drift", r.Drift()),
		slog.String("namespace", r.Question.Namespace),
		slog.String("pod", r.Pod),
		slog.String("pod_uid", r.PodUID),
		slog.String("container", r.Container),
		slog.String("container_id", r.ContainerID),
		slog.String("volume", r.Volume),
		slog.String("reference", r.Question.Reference),
		slog.String("judged_reference", r.Verdict.Reference),
		slog.String("digest", r.Verdict.Digest.String()),
		slog.String("config_digest", r.Question.Config.String()),
		slog.String("found_by", string(r.FoundBy)),
		slog.String("document", r.Verdict.Document),
		slog.String("scope", r.Verdict.Scope),
		slog.String("detail", r.Verdict.Detail),
		slog.Float64("took_seconds", r.Took.Seconds()),
		slog.Bool("remembered", r.Verdict.Cached),
		slog.Int("schema", schema),
	)
	return l.handler.Handle(ctx, record)
}
