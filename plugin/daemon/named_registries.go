package daemon

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/countersign/countersign/policy"
)

// Limits of the registries that documents name: of one namespace's document, whose author may be a tenant, and of all
// documents.
const (
	maxNamedByDocument = 64
	maxNamedRegistries = 16384
)

// namedBy is the kind of document that names a registry.
type namedBy uint8

const (
	unnamed namedBy = iota
	byNamespace
	bySystem
)

// namedRegistries are the registries that policy documents name in a scope for which a signature is required. An
// operator has chosen them, while anyone who can create a pod can choose the registry of its image.
type namedRegistries struct {
	names atomic.Pointer[map[string]namedBy]
}

// update reads the documents. There may be thousands, and decisions use the same processor.
func (r *namedRegistries) update(set *policy.Set) {
	names := map[string]namedBy{}
	add := func(source policy.Source, by namedBy, limit int) {
		for _, name := range scopeRegistries(source.Document) {
			if limit == 0 || len(names) >= maxNamedRegistries {
				return
			}
			limit--
			names[name] = max(names[name], by)
		}
	}
	if set != nil {
		add(set.System, bySystem, maxNamedRegistries)
		add(set.Cluster, bySystem, maxNamedRegistries)
		for _, namespace := range slices.Sorted(maps.Keys(set.Namespaces)) {
			runtime.Gosched()
			add(set.Namespaces[namespace], byNamespace, maxNamedByDocument)
		}
	}
	r.names.Store(&names)
}

// scopeRegistries returns the registries that scopes name, in their order: a host, or "*." with a domain.
func scopeRegistries(document *policy.Document) []string {
	if document == nil {
		return nil
	}
	var names []string
	for scope, requirements := range document.Scopes {
		needsEvidence := func(r *policy.Requirement) bool { return r.NeedsEvidence }
		if name, _, _ := strings.Cut(scope, "/"); name != "" && slices.ContainsFunc(requirements, needsEvidence) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// contains reports whether a document names a registry, or a domain that it is in.
func (r *namedRegistries) contains(registry string) bool {
	names := r.names.Load()
	if names == nil {
		return false
	}
	if (*names)[registry] != unnamed {
		return true
	}
	// As in policy.RepositoryScopes, the port belongs to the host.
	host, _, _ := strings.Cut(registry, ":")
	for _, parent, found := strings.Cut(host, "."); found; _, parent, found = strings.Cut(parent, ".") {
		if (*names)["*."+parent] != unnamed {
			return true
		}
	}
	return false
}

// by returns the kind of document that names the registry itself.
func (r *namedRegistries) by(registry string) namedBy {
	if names := r.names.Load(); names != nil {
		return (*names)[registry]
	}
	return unnamed
}
