package evidence_test

import (
	"fmt"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// What a decision pays for evidence that is in memory.
func BenchmarkLookup(b *testing.B) {
	r := newRegistry(b)
	m := manifestOf("image")
	r.sign(b, "app", m, signed(1))
	keeper, named, list := open(b, evidence.Config{}), r.named(b, "app"), manifests(m)
	if got := fetched(b, keeper, named, m); got.State != policy.Found {
		b.Fatalf("%+v", got)
	}
	b.ReportAllocs()
	for b.Loop() {
		if keeper.Lookup(list, named)[0].State != policy.Found {
			b.Fatal("it was removed")
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
