package policy

import (
	"sync"
	"time"
)

// cache is a map with limits on its entries and bytes. When it is full, it drops its older half. Entries cannot become
// stale: everything that an entry depends on is part of its key, or is compared when the entry is read.
type cache[K comparable, V any] struct {
	limit int
	// maxBytes limits the sum of the sizes that size returns; size leaves out a constant per entry.
	maxBytes int
	size     func(K, V) int

	mu     sync.Mutex
	recent map[K]V
	older  map[K]V
	// bytes is the size of the entries of recent.
	bytes int
}

func newCache[K comparable, V any](limit, maxBytes int, size func(K, V) int) *cache[K, V] {
	return &cache[K, V]{limit: limit, maxBytes: maxBytes, size: size, recent: make(map[K]V)}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, ok := c.recent[key]; ok {
		return value, true
	}
	value, ok := c.older[key]
	if ok {
		c.set(key, value)
	}
	return value, ok
}

func (c *cache[K, V]) put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(key, value)
}

func (c *cache[K, V]) set(key K, value V) {
	size := c.size(key, value)
	if size > c.maxBytes/2 {
		return
	}
	before, known := c.recent[key]
	if known {
		c.bytes -= c.size(key, before)
	}
	if !known && len(c.recent) >= c.limit/2 || c.bytes+size > c.maxBytes/2 {
		c.older, c.recent, c.bytes = c.recent, make(map[K]V), 0
	}
	c.recent[key] = value
	c.bytes += size
}

// size returns the size of a judgement and its key in bytes.
func (j judgement) size(key findingKey) int {
	const fixed, ofFinding = 256, 96
	size := fixed + len(key.requirement) + len(key.reference) + len(key.manifest) + len(key.mediaType) + len(j.Detail)
	for _, finding := range j.each {
		size += ofFinding
		// If there is one finding only, its detail is shared.
		if len(j.each) > 1 {
			size += len(finding.Detail)
		}
	}
	return size
}

// findingKey contains everything that a finding depends on except the time: the manifest and the requirement by their
// hashes, the evidence by a number that is never used twice. The hash of a manifest does not cover its media type.
type findingKey struct {
	requirement string
	reference   string
	manifest    string
	mediaType   string
	evidence    uint64
}

// notExpired reports whether a finding or answer with this time of expiry is still valid; zero: it never expires.
func notExpired(expiresAt time.Time) bool {
	return expiresAt.IsZero() || time.Now().Before(expiresAt)
}

// earlier returns the earlier of two times of expiry; zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
