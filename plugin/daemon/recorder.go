package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
)

// recorder writes the audit record of every decision outside the callback: the reader of the daemon's standard error
// may stop reading, and containerd must not wait for it.
type recorder struct {
	log     *audit.Log
	file    *auditFile
	logger  *slog.Logger
	metrics *metrics.Metrics
	records chan queued
	pulls   chan audit.Pull
	recent  recent
	// decisions are the last decisions about each container.
	decisions *decisions
	drift     *drift
	denials   *denials
}

// queued is a record, and whether it is the first one that finds its container in drift.
type queued struct {
	audit.Record

	newDrift bool
	// message is the text of a denial for the pod's author.
	message string
}

// Limits of the queued records. A node creates about ten containers a second.
const (
	queuedRecords = 4096
	queuedPulls   = 256
)

func newRecorder(file *auditFile, logger *slog.Logger, metrics *metrics.Metrics) *recorder {
	return &recorder{
		log: audit.New(logger), file: file, logger: logger, metrics: metrics,
		records: make(chan queued, queuedRecords),
		pulls:   make(chan audit.Pull, queuedPulls),

		decisions: newDecisions(),
		drift:     newDrift(metrics.SetDrift, metrics.Drifted),
		denials:   newDenials(),
	}
}

// record queues the record of a decision before containerd receives the answer. It never blocks: if the queue is full,
// it drops and counts the record.
func (r *recorder) record(_ context.Context, report nri.Report) {
	record := recordOf(report)
	r.metrics.Decided(record)
	newDrift := record.Stage == audit.Running && r.drift.record(record)
	// The verdict on an image volume is part of the answer about its container.
	if record.Stage == audit.Creation && report.Took > 0 {
		r.metrics.Answered(report.Took)
	}
	next := queued{Record: record, newDrift: newDrift}
	if !record.Verdict.Admitted() {
		next.message = nri.Message(report)
	}
	select {
	case r.records <- next:
	default:
		r.metrics.RecordDropped()
	}
}

// recordPull queues the record of an answer about a pull. It never blocks either.
func (r *recorder) recordPull(pull audit.Pull) {
	r.metrics.Pulled(pull)
	select {
	case r.pulls <- pull:
	default:
		r.metrics.RecordDropped()
	}
}

// start starts to write records. The function stop writes all queued records and then stops.
func (r *recorder) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); r.run(ctx) }()
	return func() { cancel(); <-ended }
}

// run writes records until the context ends, and then those that are still queued.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case record := <-r.records:
			r.write(record)
		case pull := <-r.pulls:
			r.writePull(pull)
		case <-ctx.Done():
			r.drain()
			return
		}
	}
}

func (r *recorder) drain() {
	for len(r.records) > 0 {
		r.write(<-r.records)
	}
	for len(r.pulls) > 0 {
		r.writePull(<-r.pulls)
	}
}

// write writes a record. A running container that the policy refuses is logged too, because no caller receives that
// verdict.
func (r *recorder) write(next queued) {
	record := next.Record
	ctx := context.Background()
	r.countDropped(errors.Join(r.log.Write(ctx, record), r.file.write(ctx, record)))
	r.recent.add(record)
	r.decisions.add(record)
	r.denials.add(record, next.message)
	if next.newDrift {
		r.logger.WarnContext(ctx, "drift: a container runs that the policy refuses",
			"namespace", record.Question.Namespace, "pod", record.Pod, "container", record.Container,
			"container_id", record.ContainerID, "reason", string(record.Verdict.Reason))
	}
}

func (r *recorder) writePull(pull audit.Pull) {
	ctx := context.Background()
	r.countDropped(errors.Join(r.log.WritePull(ctx, pull), r.file.writePull(ctx, pull)))
}

// countDropped counts a record that could not be written, to the log or to the file.
func (r *recorder) countDropped(err error) {
	if err != nil {
		r.metrics.RecordDropped()
	}
}

func recordOf(report nri.Report) audit.Record {
	record := audit.Record{
		Time:        time.Now().Add(-report.Took),
		Took:        report.Took,
		Stage:       audit.Stage(report.Stage),
		Mode:        audit.Enforce,
		FoundBy:     report.FoundBy,
		Question:    report.Question(),
		Verdict:     report.Verdict,
		Volume:      report.Volume,
		Pod:         report.Pod,
		PodUID:      report.PodUID,
		Container:   report.Name,
		ContainerID: report.ID,
	}
	if report.Audit {
		record.Mode = audit.Audit
	}
	return record
}
