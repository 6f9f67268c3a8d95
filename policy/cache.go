package policy

import (
	"sync"
	"time"
)

// memory is a map that is bounded in entries and in bytes, and forgets the oldest half when it is full. What it holds
// cannot go stale: whatever an entry depends on is part of its key, or compared when it is read.
type memory[K comparable, V any] struct {
	limit int
	// maxBytes bounds what size says of all entries together; size returns what one takes, but for a constant.
	maxBytes int
	size     func(K, V) int

	mu    sync.Mutex
	young map[K]V
	old   map[K]V
	// bytes is what the entries of young take.
	bytes int
}

func newMemory[K comparable, V any](limit, maxBytes int, size func(K, V) int) *memory[K, V] {
	return &memory[K, V]{limit: limit, maxBytes: maxBytes, size: size, young: make(map[K]V)}
}

func (m *memory[K, V]) get(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, ok := m.young[key]; ok {
		return value, true
	}
	value, ok := m.old[key]
	if ok {
		m.keep(key, value)
	}
	return value, ok
}

func (m *memory[K, V]) put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(key, value)
}

func (m *memory[K, V]) keep(key K, value V) {
	size := m.size(key, value)
	if size > m.maxBytes/2 {
		return
	}
	before, known := m.young[key]
	if known {
		m.bytes -= m.size(key, before)
	}
	if !known && len(m.young) >= m.limit/2 || m.bytes+size > m.maxBytes/2 {
		m.old, m.young, m.bytes = m.young, make(map[K]V), 0
	}
	m.young[key] = value
	m.bytes += size
}

// size returns what an answer takes in bytes, with its question.
func (a answer) size(q Question) int {
	const fixed = 512
	v := a.verdict
	return fixed + len(q.Namespace) + len(q.Reference) + len(q.Config) + len(v.Detail) + len(v.Reference) +
		len(v.Digest) + len(v.Document) + len(v.Scope)
}

// size returns what a finding takes in bytes, with its key.
func (f Finding) size(key findingKey) int {
	const fixed = 256
	return fixed + len(key.requirement) + len(key.reference) + len(key.manifest) + len(key.mediaType) + len(f.Detail)
}

// answer is a verdict and the circumstances it was given under. An answer is remembered only when it
// admits: every refusal is worked out anew, from findings that are remembered.
type answer struct {
	document    *Document
	generations [maxGenerations]uint64
	until       time.Time
	verdict     Verdict
}

// findingKey is all that a finding depends on but the clock: the manifest and the requirement by their hashes, the
// evidence by a number that is not used twice. The hash of a manifest does not cover the media type it is taken for.
type findingKey struct {
	requirement string
	reference   string
	manifest    string
	mediaType   string
	evidence    uint64
}

// lasts reports whether a finding or answer that expires at until, if ever, is still true.
func lasts(until time.Time) bool {
	return until.IsZero() || time.Now().Before(until)
}

// earlier returns the earlier of two times of expiry, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
