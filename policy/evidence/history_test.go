package evidence_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence"
)

// BenchmarkFetchAfter measures the fetch of an image, without the network, after many others, each from a registry of
// its own, by what a fetch comes to.
func BenchmarkFetchAfter(b *testing.B) {
	for outcome, look := range map[string]evidence.FetchFunc{
		"none": func(reference.Named, digest.Digest, digest.Digest) (evidence.Found, error) {
			return evidence.Found{Unchanged: true}, nil
		},
		"busy": func(reference.Named, digest.Digest, digest.Digest) (evidence.Found, error) {
			return evidence.Found{}, evidence.Busy(time.Minute)
		},
	} {
		for _, earlier := range []int{10, 1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/earlier=%d", outcome, earlier), func(b *testing.B) {
				keeper, err := evidence.OpenWith(evidence.Config{Directory: b.TempDir(), MaxSize: 1 << 30}, look)
				if err != nil {
					b.Fatal(err)
				}
				defer keeper.Close()
				fetch := func(n int) {
					named, err := reference.WithName(fmt.Sprintf("host-%d.example/app", n))
					if err != nil {
						b.Fatal(err)
					}
					// That it fails is one of the outcomes.
					_ = keeper.Fetch(b.Context(), manifestOf(fmt.Sprint(n)), named)
				}
				for n := range earlier {
					fetch(n)
				}
				for n := earlier; b.Loop(); n++ {
					fetch(n)
				}
			})
		}
	}
}
