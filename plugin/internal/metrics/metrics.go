package metrics

import (
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// Metrics holds the daemon's figures and its state of health. Its methods may be called from several goroutines.
type Metrics struct {
	registry  *prometheus.Registry
	decisions *prometheus.CounterVec
	wouldDeny prometheus.Counter
	callback  prometheus.Histogram
	dropped   prometheus.Counter
	panics    *prometheus.CounterVec
	pull      pull
	state     state
}

// New returns metrics that say: not registered, not known to be required, no policy loaded. The build is what
// [debug.ReadBuildInfo] returned; nil is a build of which nothing is known.
func New(build *debug.BuildInfo) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_decisions_total",
			Help: "Decisions, by what became of the container, the verdict's reason, when it was asked, and mode.",
		}, []string{"outcome", "reason", "stage", "mode"}),
		wouldDeny: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_would_deny_total",
			Help: "Decisions that deny and were not enforced: audit mode, or a container that ran already.",
		}),
		callback: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "countersign_callback_seconds",
			Help:    "How long the runtime waited for an answer about a container it is about to create.",
			Buckets: callbackBuckets(),
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_audit_records_dropped_total",
			Help: "Decisions that are missing from the audit log, because it could not be written.",
		}),
		panics: newPanics(),
		pull:   newPull(),
	}
	m.registry.MustRegister(
		m.decisions, m.wouldDeny, m.callback, m.dropped, m.panics, buildInfo(build),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.registry.MustRegister(m.pull.collectors()...)
	m.registry.MustRegister(m.state.gauges()...)
	m.startAtZero()
	return m
}

// startAtZero makes the series of every decision there can be: increase() does not see a series' first value.
func (m *Metrics) startAtZero() {
	for _, stage := range audit.Stages() {
		for _, mode := range audit.Modes() {
			for _, reason := range policy.Reasons() {
				record := audit.Record{Stage: stage, Mode: mode}
				record.Verdict.Reason = reason
				if reason == policy.Accepted {
					record.Verdict.Outcome = policy.Admit
				}
				m.counter(record)
			}
		}
	}
}

func (m *Metrics) counter(r audit.Record) prometheus.Counter {
	return m.decisions.WithLabelValues(
		r.Outcome().String(), string(r.Verdict.Reason), string(r.Stage), string(r.Mode),
	)
}

// Decided counts a decision.
func (m *Metrics) Decided(r audit.Record) {
	m.counter(r).Inc()
	if r.WouldDeny() {
		m.wouldDeny.Inc()
	}
}

// Answered notes how long the runtime waited for one answer.
func (m *Metrics) Answered(took time.Duration) {
	m.callback.Observe(took.Seconds())
}

// RecordDropped counts a decision that could not be put on record.
func (m *Metrics) RecordDropped() {
	m.dropped.Inc()
}

// callbackBuckets are 20 µs to 2 s, the time after which the runtime gives up. Between 0.1 and 2 ms, where answers
// are when all is well, neighbours lie 10 % apart, so that a quantile read off them is off by less.
func callbackBuckets() []float64 {
	var buckets []float64
	for bound := 20e-6; bound < 100e-6; bound *= 1.25 {
		buckets = append(buckets, bound)
	}
	for bound := 100e-6; bound < 2e-3; bound *= 1.1 {
		buckets = append(buckets, bound)
	}
	for bound := 2e-3; bound < 2; bound *= 1.5 {
		buckets = append(buckets, bound)
	}
	return append(buckets, 2)
}
