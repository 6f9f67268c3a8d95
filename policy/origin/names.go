package origin

import (
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// original returns the reference an image-store name stands for, or nil where it is none: the CRI plugin stores every
// image under its image ID too (sha256:<hex>), which would parse as a repository of Docker Hub.
func original(stored string) reference.Named {
	if algorithm, _, _ := strings.Cut(stored, ":"); digest.Algorithm(algorithm).Available() {
		return nil
	}
	named, err := policy.Normalize(stored)
	if err != nil {
		return nil
	}
	return named
}

// heardOf notes what an event was about: a name that leads to target now, or to nothing when that is "".
func (m *memory) heardOf(stored string, target digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard != nil {
		m.heard[stored] = struct{}{}
	}
	if target == "" {
		if _, ok := m.names[stored]; ok {
			m.changes++
			m.lockedSet(stored, "", m.changes)
		}
		return
	}
	if m.names[stored].target != target {
		m.changes++
		m.lockedSet(stored, target, m.changes)
		return
	}
	// The same target: perhaps more of its content came. If so, that will concern images, and only then.
	m.changes++
	m.lockedUnread(m.roots[target], m.changes)
}

// lockedSet makes a name lead to a target, or to nothing when that is "".
func (m *memory) lockedSet(stored string, target digest.Digest, change uint64) {
	old, had := m.names[stored]
	if had {
		m.repositories.remove(old.reference, stored)
		delete(m.news, stored)
		m.lockedConcern(old.target, change)
		delete(m.names, stored)
		r := m.roots[old.target]
		delete(r.names, stored)
		if len(r.names) == 0 {
			m.lockedDrop(old.target, r)
		}
	}
	if target == "" {
		return
	}
	set := name{target: target, reference: original(stored)}
	m.names[stored] = set
	m.repositories.add(set.reference, stored)
	r := m.roots[target]
	if r == nil {
		r = &root{names: map[string]struct{}{}, state: settled}
		m.roots[target] = r
		m.lockedUnread(r, change)
	}
	r.names[stored] = struct{}{}
	m.news[stored] = struct{}{}
	m.lockedConcern(target, change)
}

// lockedDrop forgets a root that no name leads to.
func (m *memory) lockedDrop(target digest.Digest, r *root) {
	delete(m.roots, target)
	if r.state != settled {
		m.unread--
	}
	m.lockedRelease(target)
}

// lockedUnread has a root read, or read again.
func (m *memory) lockedUnread(r *root, change uint64) {
	r.change = max(r.change, change)
	switch r.state {
	case settled:
		r.state = unread
		m.unread++
		m.lockedNotify()
	case reading:
		r.stale = true
	case unread:
	}
}

// listing notes that names are about to be listed. It returns the change up to which the list will tell the truth.
func (m *memory) listing() (change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = map[string]struct{}{}
	return m.changes
}

// unlisted notes that names could not be listed.
func (m *memory) unlisted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = nil
}

// compare makes names what a list says, but for those that were heard of while it was made, and returns the roots
// that have to be read: those that are new, and those whose reading failed.
func (m *memory) compare(list map[string]digest.Digest, change uint64) []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	for stored := range m.names {
		if _, heard := m.heard[stored]; !heard && list[stored] == "" {
			m.lockedSet(stored, "", change)
		}
	}
	for stored, target := range list {
		if _, heard := m.heard[stored]; !heard && m.names[stored].target != target {
			m.lockedSet(stored, target, change)
		}
	}
	m.heard = nil
	var missing []digest.Digest
	for target, r := range m.roots {
		if r.state == settled && r.failure != "" && r.again != onEvent {
			m.lockedUnread(r, change)
		}
		if r.state != settled {
			missing = append(missing, target)
		}
	}
	m.lockedNotify()
	return missing
}

// receiving returns the epoch of the event stream that is being received.
func (m *memory) receiving() (epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch
}

// follow notes that names are up to date and will be kept so by the events of an epoch, unless that has ended.
func (m *memory) follow(epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == epoch {
		m.followed = true
		m.lockedNotify()
		m.following.Store(true)
	}
}

// confirm notes that for a question all that was heard of up to a change was compared with containerd.
func (m *memory) confirm(q policy.Question, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, ok := m.confirmed.Get(q); ok && before >= change {
		return
	}
	m.confirmed.Add(q, change)
	m.lockedNotify()
}
