package origin_test

import (
	"fmt"
	"runtime"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/origin"
)

// thousand stores images as a node has them after pulls through the CRI: an index that lists ten, of which one is here,
// under three names.
func thousand(tb testing.TB) (o *origin.Containerd, configs []ocispec.Descriptor) {
	tb.Helper()
	s := newStores(tb)
	for i := range 1000 {
		m, c := s.image(fmt.Sprintf("%d %01500d", i, 0))
		index := s.index(append(absentMany(9, fmt.Sprint(i)), m)...)
		repository := fmt.Sprintf("registry.example/team%d/application%d", i%10, i)
		s.name(repository+":v1", index)
		s.name(repository+"@"+index.Digest.String(), index)
		s.name(c.Digest.String(), index)
		configs = append(configs, c)
	}
	return s.following(), configs
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestAThousandImagesAreSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand images take seconds to store")
	}
	before := heap()
	o, configs := thousand(t)
	for _, c := range configs {
		if _, err := o.Image(t.Context(), question(c)); err != nil {
			t.Fatal(err)
		}
	}
	// The stores are counted too: their database is mapped into memory.
	used := heap() - before
	t.Logf("%d KiB", used>>10)
	if used > 40<<20 {
		t.Errorf("a thousand images take %d MiB, more than 40", used>>20)
	}
	runtime.KeepAlive(o)
}

func BenchmarkImage(b *testing.B) {
	s := newStores(b)
	m, c := s.image("app")
	s.name("example.com/app:v1", s.index(absent("arm"), m))
	o := s.following()
	q := question(c)
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := o.Image(b.Context(), q); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("generation", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o.Generation()
		}
	})
}
