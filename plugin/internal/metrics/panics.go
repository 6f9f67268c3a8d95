package metrics

import "github.com/prometheus/client_golang/prometheus"

func newPanics() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_panics_total",
		Help: "Recovered panics, which failed one item but not the daemon; each is a bug in countersign.",
	}, []string{"part"})
}

// Panicked counts a recovered panic in a part of the daemon.
func (m *Metrics) Panicked(part string) { m.panics.WithLabelValues(part).Inc() }
