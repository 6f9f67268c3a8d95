package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// pull holds the figures of what is done before a container is created: pulls are answered, and evidence is fetched
// ahead.
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
			Help: "Pulls that containerd's image verifier asked about, by what became of them and the verdict's reason.",
		}, []string{"outcome", "reason"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "countersign_pull_duration_seconds",
			Help:    "How long pulls waited for an answer, evidence being fetched meanwhile.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		prefetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_prefetches_total",
			Help: "Images for whose evidence registries were asked before a container wanted it, by how that ended.",
		}, []string{"result"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "countersign_prefetch_images_waiting",
			Help: "Images, by manifest and repository, whose evidence is yet to be looked for.",
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

// Pulled counts a pull that was asked about.
func (m *Metrics) Pulled(p audit.Pull) {
	m.pull.pulls.WithLabelValues(p.Outcome.String(), string(p.Verdict.Reason)).Inc()
	m.pull.took.Observe(p.Took.Seconds())
}

// Prefetched counts a registry that was asked for evidence before a container wanted it.
func (m *Metrics) Prefetched(failed bool) { m.pull.prefetches.WithLabelValues(result(failed)).Inc() }

// PrefetchWaiting says for how many images that is yet to be done.
func (m *Metrics) PrefetchWaiting(images int) { m.pull.waiting.Set(float64(images)) }

func result(failed bool) string {
	if failed {
		return "failed"
	}
	return "looked"
}
