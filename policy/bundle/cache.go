package bundle

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/countersign/countersign/policy"
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

// parsedCache keeps the latest bundles that were used, up to some bytes.
type parsedCache struct {
	mu    sync.Mutex
	limit int
	used  int
	lru   *simplelru.LRU[evidenceKey, parsedEvidence]
}

type parsedEvidence struct {
	bundles []*signed
	weight  int
}

func newParsedCache(limit int) *parsedCache {
	c := &parsedCache{limit: limit}
	evicted := func(_ evidenceKey, dropped parsedEvidence) { c.used -= dropped.weight }
	lru, err := simplelru.NewLRU(maxParsedEvidence, evicted)
	if err != nil {
		panic(err)
	}
	c.lru = lru
	return c
}

func (c *parsedCache) get(evidence policy.Evidence) ([]*signed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.lru.Get(keyOf(evidence))
	return known.bundles, ok
}

// put keeps bundles that were read from files of so many bytes, unless they would take more than a quarter of the room.
func (c *parsedCache) put(evidence policy.Evidence, bundles []*signed, size int) {
	weight := size*parsedBytesPerByte + len(bundles)*parsedBytesOfBundle
	if evidence.Generation == 0 || weight > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(keyOf(evidence))
	for c.used+weight > c.limit {
		c.lru.RemoveOldest()
	}
	c.used += weight
	c.lru.Add(keyOf(evidence), parsedEvidence{bundles, weight})
}

func keyOf(evidence policy.Evidence) evidenceKey {
	return evidenceKey{evidence.Generation, evidence.Directory, evidence.Bundles}
}
