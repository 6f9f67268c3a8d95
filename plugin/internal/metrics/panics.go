package metrics

import "github.com/prometheus/client_golang/prometheus"

func newPanics() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_panics_total",
		Help: "Panics that were survived: each is a fault of countersign, and the failure of what it was doing.",
	}, []string{"part"})
}

// Panicked counts a panic that was survived in a part of the daemon.
func (m *Metrics) Panicked(part string) { m.panics.WithLabelValues(part).Inc() }
