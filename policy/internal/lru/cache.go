package lru

import (
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Bounds limit a cache. Each must be positive.
type Bounds struct {
	// Entries is the number of entries.
	Entries int
	// Weight limits the sum of the weights of all entries.
	Weight int
	// EntryWeight limits the weight of one entry. A heavier one is not stored, so that it cannot evict all others.
	EntryWeight int
}

// Cache is a map that evicts the least recently used entries when it would exceed its bounds. It is safe for concurrent
// use.
type Cache[K comparable, V any] struct {
	bounds Bounds

	mu      sync.Mutex
	weight  int
	entries *simplelru.LRU[K, entry[V]]
}

type entry[V any] struct {
	value  V
	weight int
}

// New returns an empty cache. It panics if a bound is not positive.
func New[K comparable, V any](bounds Bounds) *Cache[K, V] {
	if min(bounds.Entries, bounds.Weight, bounds.EntryWeight) <= 0 {
		panic(fmt.Sprintf("lru: bounds %+v", bounds))
	}
	c := &Cache[K, V]{bounds: bounds}
	// The only possible error is a size that is not positive.
	c.entries, _ = simplelru.NewLRU(bounds.Entries, func(_ K, evicted entry[V]) { c.weight -= evicted.weight })
	return c
}

// Get returns the value of a key, which becomes the most recently used.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.entries.Get(key)
	return found.value, ok
}

// Add stores a value and replaces any other of its key, unless it is too heavy: then nothing changes.
func (c *Cache[K, V]) Add(key K, value V, weight int) {
	if weight > min(c.bounds.EntryWeight, c.bounds.Weight) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(key)
	for c.weight+weight > c.bounds.Weight {
		c.entries.RemoveOldest()
	}
	c.entries.Add(key, entry[V]{value, weight})
	c.weight += weight
}

// Purge removes all entries.
func (c *Cache[K, V]) Purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Purge()
}
