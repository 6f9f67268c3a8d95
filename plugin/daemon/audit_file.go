package daemon

import (
	"context"
	"log/slog"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
)

// auditFile writes records to the file that the configuration names, if it does. A file that cannot be written affects
// no decision: it is logged and reported by the health check.
type auditFile struct {
	file    *audit.File // nil: the configuration names none
	records *audit.Log
	log     *slog.Logger
	// failing is whether the last problem was logged. Only one goroutine writes.
	failing bool
}

func newAuditFile(config conf.Audit, log *slog.Logger) *auditFile {
	if config.File == "" {
		return &auditFile{}
	}
	file := audit.NewFile(config.File, int64(config.MaxSize), config.MaxFiles)
	return &auditFile{file: file, records: audit.NewFileLog(file), log: log}
}

func (f *auditFile) write(ctx context.Context, record audit.Record) error {
	if f.file == nil {
		return nil
	}
	err := f.records.Write(ctx, record)
	f.report(ctx, err)
	return err
}

func (f *auditFile) writePull(ctx context.Context, pull audit.Pull) error {
	if f.file == nil {
		return nil
	}
	err := f.records.WritePull(ctx, pull)
	f.report(ctx, err)
	return err
}

// report logs a problem once, and its end.
func (f *auditFile) report(ctx context.Context, err error) {
	switch {
	case err != nil && !f.failing:
		f.log.ErrorContext(ctx, "cannot write the audit log file: its records are missing there, and decisions continue",
			"error", err)
	case err == nil && f.failing:
		f.log.InfoContext(ctx, "the audit log file can be written again")
	}
	f.failing = err != nil
}

// reopen opens the file that now has the configured path. Its problem is logged with the next record, and reported by
// the health check.
func (f *auditFile) reopen() {
	if f.file != nil {
		_ = f.file.Reopen()
	}
}

func (f *auditFile) close() {
	if f.file != nil {
		_ = f.file.Close()
	}
}

// health answers whether the last record could be written. Without a file no record can be missing from it.
func (f *auditFile) health() (metrics.Status, string) {
	if f.file == nil {
		return metrics.Yes, "no file is configured"
	}
	if err := f.file.Problem(); err != nil {
		return metrics.No, err.Error()
	}
	return metrics.Yes, ""
}
