package policy

import (
	"sync"
	"time"
)

// cache is a map that is bounded in entries and in bytes, and drops the older half when it is full. What it holds
// cannot go stale: whatever an entry depends on is part of its key, or compared when it is read.
type cache[K comparable, V any] struct {
	limit int
	// maxBytes bounds what size says of all entries together; size returns what one takes, but for a constant.
	maxBytes int
	size     func(K, V) int

	mu     sync.Mutex
	recent map[K]V
	older  map[K]V
	// bytes is what the entries of recent take.
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

// size returns what an answer takes in bytes, with its question.
func (a answer) size(q Question) int {
	const fixed = 512
	v := a.verdict
	return fixed + len(q.Namespace) + len(q.Reference) + len(q.Config) + len(v.Detail) + len(v.Reference) +
		len(v.Digest) + len(v.Document) + len(v.Scope)
}

// size returns what a judgement takes in bytes, with its key.
func (j judgement) size(key findingKey) int {
	const fixed, ofFinding = 256, 96
	size := fixed + len(key.requirement) + len(key.reference) + len(key.manifest) + len(key.mediaType) + len(j.Detail)
	for _, finding := range j.each {
		size += ofFinding
		// The detail of a single finding is the one of all.
		if len(j.each) > 1 {
			size += len(finding.Detail)
		}
	}
	return size
}

// answer is a verdict and what it depends on. Only an answer that admits is cached: every refusal is decided anew, from
// findings that are cached.
type answer struct {
	document    *Document
	generations [maxGenerations]uint64
	expiresAt   time.Time
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

// notExpired reports whether a finding or answer that expires then is still true; zero: it never expires.
func notExpired(expiresAt time.Time) bool {
	return expiresAt.IsZero() || time.Now().Before(expiresAt)
}

// earlier returns the earlier of two times of expiry, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
