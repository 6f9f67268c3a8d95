package bundle

import (
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/lru"
)

// Limits of the cache of parsed bundles. They are needed only while a list of requirements is judged, and by judgements
// shortly after: package policy caches findings.
const (
	maxParsedBytes    = 16 << 20
	maxParsedEvidence = 1024
	// parsing needs at most this many bytes per byte of a bundle: the envelope and the log's entries exist in several
	// forms.
	parsedBytesPerByte  = 6
	parsedBytesOfBundle = 8 << 10
)

// evidenceKey identifies evidence: a generation is never used twice.
type evidenceKey struct {
	generation uint64
	directory  string
	bundles    int
}

// parsedCache contains the bundles that were used last.
type parsedCache struct {
	lru *lru.Cache[evidenceKey, []*signed]
}

// newParsedCache returns a cache of limit bytes. One manifest's bundles may take a quarter of them.
func newParsedCache(limit int) *parsedCache {
	return &parsedCache{lru.New[evidenceKey, []*signed](lru.Bounds{
		Entries: maxParsedEvidence, Weight: limit, EntryWeight: limit / 4,
	})}
}

func (c *parsedCache) get(evidence policy.Evidence) ([]*signed, bool) {
	return c.lru.Get(keyOf(evidence))
}

// put stores bundles that were read from files of size bytes in total.
func (c *parsedCache) put(evidence policy.Evidence, bundles []*signed, size int) {
	if evidence.Generation == 0 {
		return
	}
	c.lru.Add(keyOf(evidence), bundles, size*parsedBytesPerByte+len(bundles)*parsedBytesOfBundle)
}

func keyOf(evidence policy.Evidence) evidenceKey {
	return evidenceKey{evidence.Generation, evidence.Directory, evidence.Bundles}
}
