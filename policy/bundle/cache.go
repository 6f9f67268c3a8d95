package bundle

import (
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/lru"
)

// Bounds of the bundles that are kept parsed. They need to last no longer than the judgement of a list of requirements
// and of those that come soon after it: what was found is cached by package policy.
const (
	maxParsedBytes    = 16 << 20
	maxParsedEvidence = 1024
	// parsing makes of a byte so many, at most: the envelope and the log's entries are there in several forms.
	parsedBytesPerByte  = 6
	parsedBytesOfBundle = 8 << 10
)

// evidenceKey tells evidence from any other: a generation is not used twice.
type evidenceKey struct {
	generation uint64
	directory  string
	bundles    int
}

// parsedCache holds the latest bundles that were used.
type parsedCache struct {
	lru *lru.Cache[evidenceKey, []*signed]
}

// newParsedCache returns a cache of so many bytes. One manifest's bundles may take a quarter of them.
func newParsedCache(limit int) *parsedCache {
	return &parsedCache{lru.New[evidenceKey, []*signed](lru.Bounds{
		Entries: maxParsedEvidence, Weight: limit, EntryWeight: limit / 4,
	})}
}

func (c *parsedCache) get(evidence policy.Evidence) ([]*signed, bool) {
	return c.lru.Get(keyOf(evidence))
}

// put stores bundles that were read from files of size bytes in all.
func (c *parsedCache) put(evidence policy.Evidence, bundles []*signed, size int) {
	if evidence.Generation == 0 {
		return
	}
	c.lru.Add(keyOf(evidence), bundles, size*parsedBytesPerByte+len(bundles)*parsedBytesOfBundle)
}

func keyOf(evidence policy.Evidence) evidenceKey {
	return evidenceKey{evidence.Generation, evidence.Directory, evidence.Bundles}
}
