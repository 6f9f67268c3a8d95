package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign/countersign/policy/registry"
)

// OtherRegistries is the label of all registries that no document names: any tenant can name one.
const OtherRegistries = "other"

func newRegistries() *prometheus.CounterVec {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_registry_requests_total",
		Help: "Requests for signatures, by registry (one that a policy document names, or other) and result.",
	}, []string{"registry", "result"})
	for _, result := range registry.Results() {
		requests.WithLabelValues(OtherRegistries, string(result))
	}
	return requests
}

// RegistryRequested counts a request to a registry. The caller limits the number of registries.
func (m *Metrics) RegistryRequested(registry, result string) {
	m.registries.WithLabelValues(registry, result).Inc()
}

// RemoveRegistry removes the series of a registry.
func (m *Metrics) RemoveRegistry(registry string) {
	m.registries.DeletePartialMatch(prometheus.Labels{"registry": registry})
}
