package origin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestASetHoldsWhatWasAddedAndNotRemoved compares an index of sets with a slice, through sizes small and large.
func TestASetHoldsWhatWasAddedAndNotRemoved(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x, want := index[string]{}, []digest.Digest(nil)
	for n := range 20_000 {
		d := digest.FromString(fmt.Sprint(random.IntN(3 * maxLinear)))
		if random.IntN(3*maxLinear) < (n/1000%3)*maxLinear+maxLinear/2 {
			x.add("key", d)
			if !slices.Contains(want, d) {
				want = append(want, d)
			}
		} else {
			x.remove("key", d)
			want = slices.DeleteFunc(want, func(other digest.Digest) bool { return other == d })
		}
		got := slices.Sorted(slices.Values(x.of("key")))
		if slices.Sort(want); !slices.Equal(got, want) || x.contains("key", d) != slices.Contains(want, d) {
			t.Fatalf("after %d changes it has %d digests, want %d", n+1, len(got), len(want))
		}
		if (x["key"] == nil) != (len(want) == 0) {
			t.Fatalf("after %d changes an empty set is in the index", n+1)
		}
	}
}
