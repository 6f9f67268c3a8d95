package bundle

import (
	"fmt"
	"testing"

	"github.com/countersign/countersign/policy"
)

// BenchmarkCacheAfter measures caching one more parsed evidence after so many earlier ones.
func BenchmarkCacheAfter(b *testing.B) {
	for _, earlier := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("earlier=%d", earlier), func(b *testing.B) {
			cache := newParsedCache(maxParsedBytes)
			put := func(n int) {
				evidence := policy.Evidence{Generation: uint64(n) + 1, Bundles: 1}
				cache.put(evidence, []*signed{nil}, 4<<10)
				if _, ok := cache.get(evidence); !ok {
					b.Fatal("it is not cached")
				}
			}
			for n := range earlier {
				put(n)
			}
			for n := earlier; b.Loop(); n++ {
				put(n)
			}
		})
	}
}
