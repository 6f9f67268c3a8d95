package metrics

import (
	"regexp"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// Metrics contains the daemon's metrics and its health. Its methods are safe for concurrent use.
type Metrics struct {
	registry   *prometheus.Registry
	decisions  *prometheus.CounterVec
	wouldDeny  prometheus.Counter
	drift      prometheus.Counter
	inDrift    prometheus.Gauge
	stopped    prometheus.Counter
	callback   prometheus.Histogram
	dropped    prometheus.Counter
	spans      prometheus.Counter
	panics     *prometheus.CounterVec
	registries *prometheus.CounterVec
	pull       pull
	config     config
	health     *health
}

// New returns the metrics of a daemon, all zero or unknown. The build is what [debug.ReadBuildInfo] returned; it may be
// nil.
func New(build *debug.BuildInfo) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_decisions_total",
			Help: "Decisions, by outcome, reason, stage and mode.",
		}, []string{"outcome", "reason", "stage", "mode"}),
		wouldDeny: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_would_deny_total",
			Help: "Decisions that deny but were not enforced: audit mode, or a container that already ran.",
		}),
		inDrift: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "countersign_drift_containers",
			Help: "Running containers, and image volumes of theirs, that the policy refuses where it is enforced.",
		}),
		stopped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_containers_stopped_total",
			Help: "Running containers that were stopped because the policy refuses them.",
		}),
		drift: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_drift_total",
			Help: "Running containers found that the policy refuses, in namespaces where it is enforced.",
		}),
		callback: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "countersign_callback_duration_seconds",
			Help:    "Time for which the runtime waited for an answer about a container.",
			Buckets: callbackBuckets(),
			// Adjacent native buckets differ by less than 10 %.
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 200,
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_audit_records_dropped_total",
			Help: "Decisions and pulls that are missing from the audit log, or from its file, because they could not be " +
				"written.",
		}),
		spans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_trace_spans_dropped_total",
			Help: "Spans of traces that were not exported, because the collector did not accept them in time.",
		}),
		panics:     newPanics(),
		registries: newRegistries(),
		pull:       newPull(),
		config:     newConfig(),
		health:     newHealth(),
	}
	// The daemon runs on one processor (docs/decisions/0005-answer-on-one-processor.md). The cost is the time for which
	// runnable goroutines wait for it.
	waiting := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/sched/latencies:seconds$`)}
	m.registry.MustRegister(
		m.decisions, m.wouldDeny, m.drift, m.inDrift, m.stopped, m.callback, m.dropped, m.spans, m.panics, m.registries,
		buildInfo(build), m,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(waiting)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.registry.MustRegister(m.pull.collectors()...)
	m.registry.MustRegister(m.config.collectors()...)
	m.startAtZero()
	return m
}

// Gather implements [prometheus.Gatherer].
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) { return m.registry.Gather() }

// startAtZero creates the series of every possible decision: increase() ignores the first value of a series.
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

// Answered records how long the runtime waited for one answer.
func (m *Metrics) Answered(took time.Duration) {
	m.callback.Observe(took.Seconds())
}

// SpansDropped counts spans that were not exported.
func (m *Metrics) SpansDropped(spans int) { m.spans.Add(float64(spans)) }

// RecordDropped counts a decision that could not be written to the audit log.
func (m *Metrics) RecordDropped() {
	m.dropped.Inc()
}

// callbackBuckets range from 50 µs to 2 s, the time after which the runtime gives up. They are few, for servers without
// native histograms.
func callbackBuckets() []float64 {
	return []float64{
		50e-6, 100e-6, 150e-6, 250e-6, 400e-6, 600e-6, 1e-3, 1.5e-3, 2.5e-3, 5e-3,
		10e-3, 25e-3, 50e-3, 100e-3, 150e-3, 250e-3, 500e-3, 1, 2,
	}
}
