package origin

import (
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// lockedPath returns the manifests and indexes through which a digest leads to a config, manifests first. Its cost
// depends on what the digest leads to, and not on what else leads to the config.
func (m *imageCache) lockedPath(from, config digest.Digest) []digest.Digest {
	p := path{m: m, config: config, leads: map[digest.Digest]bool{}}
	p.visit(from, 0)
	slices.SortStableFunc(p.found, func(a, b digest.Digest) int { return p.rank(a) - p.rank(b) })
	return p.found
}

// path collects the digests that lead to a config.
type path struct {
	m      *imageCache
	config digest.Digest
	leads  map[digest.Digest]bool
	found  []digest.Digest
}

// visit reports whether a digest leads to the config. Indexes may share children.
func (p *path) visit(d digest.Digest, depth int) bool {
	if leads, known := p.leads[d]; known {
		return leads
	}
	n := p.m.nodes[d]
	if n == nil || depth > maxDepth+1 {
		return false
	}
	leads := n.config == p.config
	p.leads[d] = leads
	for _, child := range n.children {
		if p.visit(child, depth+1) {
			leads = true
		}
	}
	if p.leads[d] = leads; leads {
		p.found = append(p.found, d)
	}
	return leads
}

func (p *path) rank(d digest.Digest) int {
	if p.m.nodes[d].config == "" {
		return 1
	}
	return 0
}

// own returns the digests through which image-store names lead to a config.
func (m *imageCache) own(names []string, config digest.Digest) (found []digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, stored := range names {
		for _, d := range m.lockedPath(m.names[stored].target, config) {
			if !slices.Contains(found, d) {
				found = append(found, d)
			}
		}
	}
	return found
}

// holds returns a function that reports whether one of some image-store names still leads to a config. The manifests
// with a config are known by their hashes and cannot change; only the name and its target can.
func (m *imageCache) holds(names []string, config digest.Digest) func() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, stored := range names {
		if target := m.names[stored].target; len(m.lockedPath(target, config)) > 0 {
			return func() bool { return m.isTarget(stored, target) }
		}
	}
	return nil
}

// isTarget reports whether a name is known to lead to a target.
func (m *imageCache) isTarget(stored string, target digest.Digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.followed && m.names[stored].target == target
}

// manifestsOf returns the manifests and indexes through which the name of a reference leads to a config. Others of the
// repository may do so too. There is none if containerd has the image under another spelling.
func (m *imageCache) manifestsOf(ref reference.Named, config digest.Digest) []policy.Manifest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lockedManifests(name{target: m.names[ref.String()].target, reference: ref}, config)
}
