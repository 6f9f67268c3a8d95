package evidence_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// What a decision pays for evidence that is in memory.
func BenchmarkKept(b *testing.B) {
	r := newRegistry(b)
	m := manifestOf("image")
	r.sign(b, "app", m, signed(1))
	keeper, named, list := open(b, evidence.Config{}), r.named(b, "app"), manifests(m)
	if got := fetched(b, keeper, named, m); got.State != policy.Found {
		b.Fatalf("%+v", got)
	}
	b.ReportAllocs()
	for b.Loop() {
		if keeper.Kept(list, named)[0].State != policy.Found {
			b.Fatal("it is gone")
		}
	}
}

func BenchmarkGeneration(b *testing.B) {
	keeper := open(b, evidence.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if keeper.Generation() != 0 {
			b.Fatal("something changed")
		}
	}
}

// What the first decision about an image pays after a start, by the number of its signatures.
func BenchmarkReadFromDisk(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("signatures=%d", n), func(b *testing.B) {
			directory, m := b.TempDir(), manifestOf("image")
			var files [][]byte
			for i := range n {
				files = append(files, signed(i).file(b))
			}
			if err := evidence.Write(directory, m, "registry.example/app", files); err != nil {
				b.Fatal(err)
			}
			read, named, list := evidence.Read(directory), parse(b, "registry.example/app"), manifests(m)
			b.ReportAllocs()
			for b.Loop() {
				if read(list, named)[0].Signatures != n {
					b.Fatal("it is not there")
				}
			}
		})
	}
}

// What keeping one signature costs, with all syncing.
func BenchmarkWrite(b *testing.B) {
	directory, m := b.TempDir(), manifestOf("image")
	files := [][]byte{signed(1).file(b)}
	for b.Loop() {
		if err := evidence.Write(directory, m, "registry.example/app", files); err != nil {
			b.Fatal(err)
		}
	}
}

// What storing one signature costs after so many earlier writes of the same image, whose files wait for their removal.
func BenchmarkWriteAfter(b *testing.B) {
	for _, earlier := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("same-image/earlier=%d", earlier), func(b *testing.B) {
			benchmarkWriteAfter(b, earlier)
		})
	}
}

func benchmarkWriteAfter(b *testing.B, earlier int) {
	b.Helper()
	store, m := evidence.NewStore(b.TempDir(), 1<<40), manifestOf("image")
	write := func(n int) {
		if err := store.Write(m, "registry.example/app", [][]byte{signed(n).file(b)}); err != nil {
			b.Fatal(err)
		}
	}
	for n := range earlier {
		write(n)
	}
	for n := earlier; b.Loop(); n++ {
		write(n)
	}
}

// What choosing what to evict costs, by the number of registries that have something in the store.
func BenchmarkEvict(b *testing.B) {
	for _, registries := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("registries=%d", registries), func(b *testing.B) {
			evict := evidence.NewLedger(registries)
			for n := 0; b.Loop(); n++ {
				evict(n)
			}
		})
	}
}

// A fetch from a registry at loopback: of what has changed, and of what has not.
func BenchmarkFetch(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		r := newRegistry(b)
		keeper := open(b, evidence.Config{})
		named := r.named(b, "app")
		n := 0
		for b.Loop() {
			b.StopTimer()
			n++
			m := manifestOf(fmt.Sprint(n))
			r.sign(b, "app", m, signed(1))
			b.StartTimer()
			if err := keeper.Fetch(b.Context(), m, named); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		r := newRegistry(b)
		m := manifestOf("image")
		r.sign(b, "app", m, signed(1))
		keeper, named := open(b, evidence.Config{}), r.named(b, "app")
		for b.Loop() {
			if err := keeper.Fetch(b.Context(), m, named); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a store with evidence of a thousand manifests costs: each hour, and when somebody lists it.
func BenchmarkThousand(b *testing.B) {
	directory := b.TempDir()
	files := [][]byte{signed(1).file(b)}
	for n := range 1000 {
		if err := evidence.Write(directory, manifestOf(fmt.Sprint(n)), "registry.example/app", files); err != nil {
			b.Fatal(err)
		}
	}
	keeper := open(b, evidence.Config{Directory: directory})
	b.Run("expire", func(b *testing.B) {
		for b.Loop() {
			if _, err := keeper.Expire(func(digest.Digest) bool { return true }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if stored, err := evidence.List(directory); err != nil || len(stored) != 1000 {
				b.Fatal(err)
			}
		}
	})
}
