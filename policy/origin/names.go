package origin

import (
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// original returns an image-store name as a reference, or nil if it is not one: the CRI plugin stores every image under
// its image ID too (sha256:<hex>), which would parse as a repository of Docker Hub.
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

// nameChanged records the present target of a name, "" if the name was removed.
func (m *imageCache) nameChanged(stored string, target digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.touched != nil {
		m.touched[stored] = struct{}{}
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
	// The target is the same, but more of its content may be present. Only then are images affected.
	m.changes++
	m.lockedUnread(m.roots[target], m.changes)
}

// lockedSet sets the target of a name, or removes the name if the target is "".
func (m *imageCache) lockedSet(stored string, target digest.Digest, change uint64) {
	old, had := m.names[stored]
	if had {
		m.repositories.remove(old.reference, stored)
		delete(m.news, stored)
		m.lockedAffect(old.target, change)
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
	m.lockedAffect(target, change)
}

// lockedDrop forgets a root that no name leads to.
func (m *imageCache) lockedDrop(target digest.Digest, r *root) {
	delete(m.roots, target)
	m.lockedFail(r, "", retryOnEvent)
	if r.state != settled {
		m.unread--
	}
	m.lockedRelease(target)
}

// lockedUnread queues a root to be read, or read again.
func (m *imageCache) lockedUnread(r *root, change uint64) {
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

// listing marks the beginning of a list. It returns the last change that the list includes.
func (m *imageCache) listing() (change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.touched = map[string]struct{}{}
	return m.changes
}

// unlisted ends a list that failed.
func (m *imageCache) unlisted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.touched = nil
}

// compare updates the names from a list, except those with an event since the list began, and returns the roots that
// have to be read: new ones, and those whose last read failed.
func (m *imageCache) compare(list map[string]digest.Digest, change uint64) []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	for stored := range m.names {
		if _, touched := m.touched[stored]; !touched && list[stored] == "" {
			m.lockedSet(stored, "", change)
		}
	}
	for stored, target := range list {
		if _, touched := m.touched[stored]; !touched && m.names[stored].target != target {
			m.lockedSet(stored, target, change)
		}
	}
	m.touched = nil
	var missing []digest.Digest
	for target, r := range m.roots {
		if r.state == settled && r.failure != "" && r.retry != retryOnEvent {
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
func (m *imageCache) receiving() (epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch
}

// follow marks the cache as updated by the events of an epoch, unless that epoch has ended.
func (m *imageCache) follow(epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == epoch {
		m.followed = true
		m.lockedNotify()
		m.following.Store(true)
	}
}

// confirm records that a question was compared with containerd up to a change.
func (m *imageCache) confirm(q policy.Question, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, ok := m.confirmed.Get(q); ok && before >= change {
		return
	}
	m.confirmed.Add(q, change)
	m.lockedNotify()
}
