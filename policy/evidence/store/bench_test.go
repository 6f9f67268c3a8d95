package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

// signatures returns as many files of the size of a signature.
func signatures(n int) (files []format.File) {
	for i := range n {
		files = append(files, format.Files(format.KindSignature, fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 300)))...)
	}
	return files
}

// What the first decision about an image costs after a start, by the number of its signatures.
func BenchmarkReadFromDisk(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("signatures=%d", n), func(b *testing.B) {
			directory := b.TempDir()
			storetest.Write(b, directory, keyOf("image"), signatures(n)...)
			b.ReportAllocs()
			for b.Loop() {
				if read(directory, keyOf("image")).Signatures != n {
					b.Fatal("it is not found")
				}
			}
		})
	}
}

// What storing one signature costs, with all syncing.
func BenchmarkWrite(b *testing.B) {
	s, content := storetest.Open(b, b.TempDir()), store.Content{Files: signatures(1)}
	for b.Loop() {
		if _, _, err := s.Put(keyOf("image"), content, true); err != nil {
			b.Fatal(err)
		}
	}
}

// It measures storing one signature after many writes of the same image, whose files are pending removal.
func BenchmarkWriteAfter(b *testing.B) {
	for _, earlier := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("same-image/earlier=%d", earlier), func(b *testing.B) {
			benchmarkWriteAfter(b, earlier)
		})
	}
}

func benchmarkWriteAfter(b *testing.B, earlier int) {
	b.Helper()
	s := storetest.Open(b, b.TempDir())
	put := func(n int) {
		files := format.Files(format.KindSignature, fmt.Appendf(nil, "signature %d", n))
		if _, _, err := s.Put(keyOf("image"), store.Content{Files: files}, true); err != nil {
			b.Fatal(err)
		}
	}
	for n := range earlier {
		put(n)
	}
	for n := earlier; b.Loop(); n++ {
		put(n)
	}
}

// What choosing what to evict costs, by the number of registries that have something in the store.
func BenchmarkEvict(b *testing.B) {
	for _, registries := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("registries=%d", registries), func(b *testing.B) {
			evict := store.NewQuota(registries)
			for n := 0; b.Loop(); n++ {
				evict(n)
			}
		})
	}
}

// What a store with evidence of a thousand manifests costs: each hour, and when it is listed.
func BenchmarkThousand(b *testing.B) {
	directory := b.TempDir()
	s := storetest.Open(b, directory)
	for n := range 1000 {
		if _, _, err := s.Put(keyOf(fmt.Sprint(n)), store.Content{Files: signatures(1)}, true); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("expire", func(b *testing.B) {
		for b.Loop() {
			for location := range s.Locations() {
				if _, _, err := location.Expire(true, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if stored, err := store.List(directory); err != nil || len(stored) != 1000 {
				b.Fatal(err)
			}
		}
	})
}
