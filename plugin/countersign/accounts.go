package main

import (
	"context"
	"time"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// accounts put every decision on record, beside the callback and not in it: whoever reads our standard error may
// stop reading, and containerd must not wait for that.
type accounts struct {
	log     *audit.Log
	metrics *metrics.Metrics
	queue   chan audit.Record
	pulls   chan audit.Pull
	// panicked logs and counts panics, see survive.
	panicked policy.PanicFunc
}

// queuedRecords is how many records may wait to be written. A node creates some ten containers a second.
const queuedRecords = 4096

// queuedPulls is how many records of pulls may wait.
const queuedPulls = 256

func newAccounts(log *audit.Log, figures *metrics.Metrics, panicked policy.PanicFunc) *accounts {
	return &accounts{
		log: log, metrics: figures, panicked: panicked,
		queue: make(chan audit.Record, queuedRecords),
		pulls: make(chan audit.Pull, queuedPulls),
	}
}

// take is given each decision before it is answered. It never waits: a record for which there is no room is counted.
func (a *accounts) take(_ context.Context, report nri.Report) {
	record := recordOf(report)
	a.metrics.Decided(record)
	// A volume that was let in came with the answer about its container.
	if record.Stage == audit.Creation && report.Took > 0 {
		a.metrics.Answered(report.Took)
	}
	select {
	case a.queue <- record:
	default:
		a.metrics.RecordDropped()
	}
}

// takePull is given each answer about a pull, and never waits either.
func (a *accounts) takePull(pull audit.Pull) {
	a.metrics.Pulled(pull)
	select {
	case a.pulls <- pull:
	default:
		a.metrics.RecordDropped()
	}
}

// start starts writing records; stop ends that, once everything that was taken is written.
func (a *accounts) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); a.run(ctx) }()
	return func() { cancel(); <-ended }
}

// run writes records until the context ends, and then what is left.
func (a *accounts) run(ctx context.Context) {
	for {
		select {
		case record := <-a.queue:
			a.dropIf(a.log.Write(context.Background(), record))
		case pull := <-a.pulls:
			a.dropIf(a.log.WritePull(context.Background(), pull))
		case <-ctx.Done():
			a.drain()
			return
		}
	}
}

func (a *accounts) drain() {
	for len(a.queue) > 0 {
		a.dropIf(a.log.Write(context.Background(), <-a.queue))
	}
	for len(a.pulls) > 0 {
		a.dropIf(a.log.WritePull(context.Background(), <-a.pulls))
	}
}

// dropIf counts a record that could not be written.
func (a *accounts) dropIf(err error) {
	if err != nil {
		a.metrics.RecordDropped()
	}
}

func recordOf(report nri.Report) audit.Record {
	record := audit.Record{
		Time:        time.Now().Add(-report.Took),
		Took:        report.Took,
		Stage:       audit.Stage(report.Stage),
		Mode:        audit.Enforce,
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
