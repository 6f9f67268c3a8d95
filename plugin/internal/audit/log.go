package audit

import (
	"context"
	"log/slog"
	"time"

	"github.com/countersign/countersign/policy"
)

// Log writes records.
type Log struct {
	handler   slog.Handler
	decisions []field[Record]
	pulls     []field[Pull]
}

// New returns a log that writes to the logger's handler, but ignores its level: the log level must not suppress audit
// records.
func New(logger *slog.Logger) *Log { return newLog(logger.Handler()) }

// NewFileLog returns a log that writes records to a file, as JSON.
func NewFileLog(file *File) *Log { return newLog(slog.NewJSONHandler(file, nil)) }

func newLog(handler slog.Handler) *Log {
	return &Log{handler: handler, decisions: decisionFields(), pulls: pullFields()}
}

// Write writes one record with the message "decision", at level warn if it denies or would deny. Its time is the
// record's own. It returns the handler's error; the decision stands regardless.
func (l *Log) Write(ctx context.Context, r Record) error {
	record := newRecord(r.Time, DecisionMessage, r.Outcome() != policy.Admit || r.WouldDeny())
	record.AddAttrs(attributes(l.decisions, r)...)
	return l.handler.Handle(ctx, record)
}

// WritePull writes the record of one pull with the message "pull", at level warn if the pull is refused or would be.
// Its time is the record's own. It returns the handler's error.
func (l *Log) WritePull(ctx context.Context, p Pull) error {
	record := newRecord(p.Time, PullMessage, p.Outcome != policy.Admit || p.WouldDeny())
	record.AddAttrs(attributes(l.pulls, p)...)
	return l.handler.Handle(ctx, record)
}

func newRecord(at time.Time, message string, warn bool) slog.Record {
	level := slog.LevelInfo
	if warn {
		level = slog.LevelWarn
	}
	return slog.NewRecord(at, level, message, 0)
}
