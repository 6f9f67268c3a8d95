package policy

import (
	"fmt"
	"testing"
)

// BenchmarkRememberAfter measures one more entry after so many earlier ones.
func BenchmarkRememberAfter(b *testing.B) {
	for _, earlier := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("earlier=%d", earlier), func(b *testing.B) {
			m := newCache(maxFindings, 1<<30, func(int, int) int { return 1 })
			for n := range earlier {
				m.put(n, n)
			}
			b.ReportAllocs()
			for n := earlier; b.Loop(); n++ {
				m.put(n, n)
				m.get(n - 1)
			}
		})
	}
}
