package bundle

import (
	"testing"

	"github.com/countersign/countersign/policy"
)

// TestNoEvidenceTakesMoreThanAQuarterOfTheCache: whoever attaches huge bundles to an image must not evict those of all
// others.
func TestNoEvidenceTakesMoreThanAQuarterOfTheCache(t *testing.T) {
	const limit = 1 << 20
	cache := newParsedCache(limit)
	small, large := policy.Evidence{Generation: 1, Bundles: 1}, policy.Evidence{Generation: 2, Bundles: 1}
	cache.put(small, []*signed{nil}, 1)
	cache.put(large, []*signed{nil}, limit/4/parsedBytesPerByte+1)
	if _, ok := cache.get(large); ok {
		t.Error("evidence of more than a quarter of the limit is cached")
	}
	if _, ok := cache.get(small); !ok {
		t.Error("it evicts other evidence")
	}
	cache.put(large, []*signed{nil}, (limit/4-parsedBytesOfBundle)/parsedBytesPerByte)
	if _, ok := cache.get(large); !ok {
		t.Error("evidence of a quarter of the limit is not cached")
	}
}

// TestEvidenceWithoutAGenerationIsNotCached: it may have changed at the next use.
func TestEvidenceWithoutAGenerationIsNotCached(t *testing.T) {
	cache := newParsedCache(1 << 20)
	cache.put(policy.Evidence{Bundles: 1}, []*signed{nil}, 1)
	if _, ok := cache.get(policy.Evidence{Bundles: 1}); ok {
		t.Error("it is cached")
	}
}
