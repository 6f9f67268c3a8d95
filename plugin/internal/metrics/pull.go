package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// pull contains the metrics of pulls and of prefetching.
type pull struct {
	pulls      *prometheus.CounterVec
	took       prometheus.Histogram
	prefetches *prometheus.CounterVec
	waiting    prometheus.Gauge
}

func newPull() pull {
	p := pull{
		pulls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_pulls_total",
			Help: "Pulls that the image verifier checked, by outcome and reason.",
		}, []string{"outcome", "reason"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "countersign_pull_duration_seconds",
			Help:    "Time for which pulls waited for an answer, including the fetch of evidence.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		prefetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_prefetches_total",
			Help: "Images whose evidence was prefetched from registries, by result.",
		}, []string{"result"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "countersign_prefetch_images_waiting",
			Help: "Images, by manifest and repository, whose evidence has not been prefetched yet.",
		}),
	}
	for _, outcome := range []policy.Outcome{policy.Admit, policy.Deny} {
		for _, reason := range policy.Reasons() {
			p.pulls.WithLabelValues(outcome.String(), string(reason))
		}
	}
	for _, failed := range []bool{false, true} {
		p.prefetches.WithLabelValues(result(failed))
	}
	return p
}

func (p *pull) collectors() []prometheus.Collector {
	return []prometheus.Collector{p.pulls, p.took, p.prefetches, p.waiting}
}

// Pulled counts a pull that the image verifier checked.
func (m *Metrics) Pulled(p audit.Pull) {
	m.pull.pulls.WithLabelValues(p.Outcome.String(), string(p.Verdict.Reason)).Inc()
	m.pull.took.Observe(p.Took.Seconds())
}

// Prefetched counts a fetch of evidence before a container needed it.
func (m *Metrics) Prefetched(failed bool) { m.pull.prefetches.WithLabelValues(result(failed)).Inc() }

// PrefetchWaiting records how many images are still to be prefetched.
func (m *Metrics) PrefetchWaiting(images int) { m.pull.waiting.Set(float64(images)) }

func result(failed bool) string {
	if failed {
		return "failed"
	}
	return "looked"
}
