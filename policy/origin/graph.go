package origin

import "github.com/opencontainers/go-digest"

// node returns what is known of a manifest or index.
func (m *memory) node(d digest.Digest) *node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodes[d]
}

// add keeps a node, unless it is there already or nothing leads to it any more.
func (m *memory) add(d digest.Digest, n *node, change uint64) (added bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nodes[d] != nil || !m.lockedHeld(d) {
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
	m.lockedConcern(d, change)
	return true
}

// link notes that a wide index lists a child that is here.
func (m *memory) link(index, child digest.Digest, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[index]
	if n == nil || m.parents.contains(child, index) {
		return
	}
	n.children = append(n.children, child)
	m.parents.add(child, index)
	m.lockedConcern(child, change)
}

// chained keeps the chain ID of a config.
func (m *memory) chained(config digest.Digest, chain string, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.images[config]
	if i == nil || i.chained {
		return
	}
	i.chain, i.chained = chain, true
	m.chains.add(chain, config)
	i.change = max(i.change, change)
}

// lockedHeld says whether a name or an index leads to a digest.
func (m *memory) lockedHeld(d digest.Digest) bool {
	return m.roots[d] != nil || len(m.parents.of(d)) > 0
}

// lockedRelease forgets a node that nothing leads to, and what only it led to.
func (m *memory) lockedRelease(d digest.Digest) {
	pending := []digest.Digest{d}
	for len(pending) > 0 {
		d := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		n := m.nodes[d]
		if n == nil || m.lockedHeld(d) {
			continue
		}
		m.lockedRemove(d, n)
		pending = append(pending, n.children...)
	}
}

// lockedRemove takes a node out.
func (m *memory) lockedRemove(d digest.Digest, n *node) {
	delete(m.nodes, d)
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
	m.chains.remove(i.chain, n.config)
}

// lockedConcern notes that a change concerns all images that a digest leads to.
func (m *memory) lockedConcern(d digest.Digest, change uint64) {
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

// gone forgets a node whose blob left the content store although a name still leads to it.
func (m *memory) gone(d digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[d]
	if n == nil {
		return
	}
	m.changes++
	m.lockedConcern(d, m.changes)
	m.lockedRemove(d, n)
	for _, child := range n.children {
		m.lockedRelease(child)
	}
	if r := m.roots[d]; r != nil && r.state == settled {
		r.failure, r.again = errAbsent.Error(), onLook
	}
	m.lockedNotify()
}
