package daemon

import (
	"strings"
	"sync"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// maxNamedRegistries limits how many registries have a series of their own.
const maxNamedRegistries = 200

// registryRequests counts requests to registries: separately for each registry that policy documents name, and together
// for all others, because any tenant can choose a registry.
type registryRequests struct {
	metrics   *metrics.Metrics
	documents func() *policy.Set

	mu sync.Mutex
	// set is the snapshot of the documents from which named was computed.
	set   *policy.Set
	named map[string]bool
}

// count counts a request.
func (r *registryRequests) count(host string, result registry.Result) {
	if !r.isNamed(host) {
		host = metrics.OtherRegistries
	}
	r.metrics.RegistryRequested(host, string(result))
}

func (r *registryRequests) isNamed(registry string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if set := r.documents(); set != r.set {
		r.set, r.named = set, namedRegistries(set)
	}
	return r.named[registry]
}

// namedRegistries returns the registries in the scopes of documents, without wildcards.
func namedRegistries(set *policy.Set) map[string]bool {
	named := map[string]bool{}
	add := func(source policy.Source) {
		if source.Document == nil {
			return
		}
		for scope := range source.Document.Scopes {
			registry, _, _ := strings.Cut(scope, "/")
			if registry != "" && !strings.HasPrefix(registry, "*") && len(named) < maxNamedRegistries {
				named[registry] = true
			}
		}
	}
	add(set.System)
	for _, source := range set.Namespaces {
		add(source)
	}
	return named
}
