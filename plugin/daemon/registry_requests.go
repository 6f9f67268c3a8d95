package daemon

import (
	"sync"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy/registry"
)

// Limits of the registries with a series of their own. Some are reserved for registries that the system policy names.
const (
	maxSeries            = 200
	maxSeriesOfNamespace = 150
)

// registryRequests counts requests to registries: separately for each registry that policy documents name, and together
// for all others, because any tenant can choose a registry.
type registryRequests struct {
	metrics *metrics.Metrics
	named   func(registry string) namedBy

	mu     sync.Mutex
	series map[string]bool
}

// count counts a request.
func (r *registryRequests) count(host string, result registry.Result) {
	if !r.hasSeries(host) {
		host = metrics.OtherRegistries
	}
	r.metrics.RegistryRequested(host, string(result))
}

// hasSeries reports whether a registry has a series of its own, and adds one if the limit permits.
func (r *registryRequests) hasSeries(host string) bool {
	by := r.named(host)
	if by == unnamed {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.series[host] {
		return true
	}
	limit := maxSeriesOfNamespace
	if by == bySystem {
		limit = maxSeries
	}
	if len(r.series) >= limit {
		r.removeUnnamed()
	}
	if len(r.series) >= limit {
		return false
	}
	if r.series == nil {
		r.series = map[string]bool{}
	}
	r.series[host] = true
	return true
}

// removeUnnamed removes the series of registries that documents no longer name.
func (r *registryRequests) removeUnnamed() {
	for host := range r.series {
		if r.named(host) == unnamed {
			delete(r.series, host)
			r.metrics.RemoveRegistry(host)
		}
	}
}
