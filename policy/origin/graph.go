package origin

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// node returns the cached data about a manifest or index.
func (m *imageCache) node(d digest.Digest) *node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodes[d]
}

// add keeps a node, unless it is there already or nothing leads to it any more.
func (m *imageCache) add(d digest.Digest, n *node, change uint64) (added bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nodes[d] != nil || !m.lockedReferenced(d) {
		return false
	}
	m.nodes[d] = n
	for _, child := range n.children {
		m.parents.add(child, d)
	}
	if n.config != "" {
		i := m.images[n.config]
		if i == nil {
			i = &image{}
			m.images[n.config] = i
		}
		i.manifests.add(d)
	}
	m.lockedAffect(d, change)
	return true
}

// link records that a large index lists a child whose blob is present.
func (m *imageCache) link(index, child digest.Digest, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[index]
	if n == nil || m.parents.contains(child, index) {
		return
	}
	n.children = append(n.children, child)
	m.parents.add(child, index)
	m.lockedAffect(child, change)
}

// setAbsent records which children of a large index are absent, unless the index was removed meanwhile. If it is
// incomplete, the index is read again at the next event.
func (m *imageCache) setAbsent(d digest.Digest, n *node, absent []uint64, complete bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nodes[d] != n {
		return
	}
	m.absent -= len(n.absent)
	n.absent, n.complete = nil, false
	if complete && m.absent+len(absent) <= maxAbsent {
		m.absent += len(absent)
		n.absent, n.complete = absent, true
	}
}

// largeChildren returns the children of a large index that are present, and hashes of all others, unless these are not
// complete.
func (m *imageCache) largeChildren(n *node) (present []digest.Digest, absent []uint64, complete bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(n.children), n.absent, n.complete
}

// setChainID stores the chain ID of a config.
func (m *imageCache) setChainID(config digest.Digest, chain string, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.images[config]
	if i == nil || i.hasChainID {
		return
	}
	i.chainID, i.hasChainID = chain, true
	m.chains.add(chain, config)
	i.change = max(i.change, change)
}

// lockedReferenced reports whether a name or an index refers to a digest.
func (m *imageCache) lockedReferenced(d digest.Digest) bool {
	return m.roots[d] != nil || len(m.parents.of(d)) > 0
}

// lockedRelease removes an unreachable node, and nodes that become unreachable with it.
func (m *imageCache) lockedRelease(d digest.Digest) {
	pending := []digest.Digest{d}
	for len(pending) > 0 {
		d := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		n := m.nodes[d]
		if n == nil || m.lockedReferenced(d) {
			continue
		}
		m.lockedRemove(d, n)
		pending = append(pending, n.children...)
	}
}

// lockedRemove removes a node.
func (m *imageCache) lockedRemove(d digest.Digest, n *node) {
	delete(m.nodes, d)
	m.absent -= len(n.absent)
	n.absent, n.complete = nil, false
	for _, child := range n.children {
		m.parents.remove(child, d)
	}
	i := m.images[n.config]
	if i == nil {
		return
	}
	i.view, i.viewed = nil, false
	if i.manifests.remove(d); len(i.manifests.list) > 0 {
		return
	}
	delete(m.images, n.config)
	m.chains.remove(i.chainID, n.config)
}

// lockedAffect records that a change affects all images that are reachable from a digest.
func (m *imageCache) lockedAffect(d digest.Digest, change uint64) {
	seen := map[digest.Digest]struct{}{d: {}}
	pending := []digest.Digest{d}
	for len(pending) > 0 {
		d := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		n := m.nodes[d]
		if n == nil {
			continue
		}
		if i := m.images[n.config]; i != nil {
			i.view, i.viewed = nil, false
			i.change = max(i.change, change)
		}
		for _, child := range n.children {
			if _, ok := seen[child]; !ok {
				seen[child] = struct{}{}
				pending = append(pending, child)
			}
		}
	}
	m.lockedNotify()
}

// manifestDeleted removes a node whose blob was deleted from the content store although a name still refers to it.
func (m *imageCache) manifestDeleted(d digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[d]
	if n == nil {
		return
	}
	m.changes++
	m.lockedAffect(d, m.changes)
	m.lockedRemove(d, n)
	for _, child := range n.children {
		m.lockedRelease(child)
	}
	if r := m.roots[d]; r != nil && r.state == settled {
		m.lockedFail(r, errAbsent.Error(), retryOnRelist)
	}
	m.lockedNotify()
}
