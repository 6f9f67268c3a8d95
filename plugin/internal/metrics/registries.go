package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign/countersign/policy/registry"
)

// OtherRegistries stands for all registries that no document names: anybody who has an image pulled names one.
const OtherRegistries = "other"

func newRegistries() *prometheus.CounterVec {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_registry_requests_total",
		Help: "Requests for signatures, by registry, if a policy document names it, and by what came of them.",
	}, []string{"registry", "result"})
	for _, result := range registry.Results() {
		requests.WithLabelValues(OtherRegistries, string(result))
	}
	return requests
}

// RegistryRequested counts a request to a registry. The caller bounds how many registries there are.
func (m *Metrics) RegistryRequested(registry, result string) {
	m.registries.WithLabelValues(registry, result).Inc()
}
