package origin

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
)

// BenchmarkNameAfter measures the event of an added name and that of a removed name, with many names of other images or
// of the same image, and with an index of an image that many other indexes list.
func BenchmarkNameAfter(b *testing.B) {
	index := func(n int) digest.Digest { return digest.FromString(fmt.Sprint("index ", n)) }
	for name, target := range map[string]func(n int) digest.Digest{
		"other-images": index,
		"same-image":   func(int) digest.Digest { return index(0) },
	} {
		for _, earlier := range []int{10, 1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/earlier=%d", name, earlier), func(b *testing.B) {
				m := newImageCache()
				stored := func(n int) string { return fmt.Sprintf("registry.example/app:%d", n) }
				for n := range earlier {
					m.nameChanged(stored(n), target(n))
				}
				for n := earlier; b.Loop(); n++ {
					m.nameChanged(stored(n), target(n))
					m.nameChanged(stored(n), "")
				}
			})
		}
	}
	for _, earlier := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("shared-manifest/earlier=%d", earlier), func(b *testing.B) {
			m := newImageCache()
			child := []digest.Digest{digest.FromString("manifest")}
			come := func(n int) string {
				stored := fmt.Sprintf("registry.example/app:%d", n)
				m.nameChanged(stored, index(n))
				m.add(index(n), &node{children: child, listed: 1}, 0)
				return stored
			}
			for n := range earlier {
				come(n)
			}
			for n := earlier; b.Loop(); n++ {
				m.nameChanged(come(n), "")
			}
		})
	}
}
