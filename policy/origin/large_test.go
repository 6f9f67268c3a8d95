package origin_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// shapes are the ways in which tenants can add to somebody else's image: each adds one more.
var shapes = map[string]func(s *stores, victim, config ocispec.Descriptor, i int){
	"manifests of its config": func(s *stores, _, config ocispec.Descriptor, i int) {
		s.name(fmt.Sprintf("tenant%d.example/x:v1", i), s.manifest(config, fmt.Sprint(i)))
	},
	"manifests of its config in its repository": func(s *stores, _, config ocispec.Descriptor, i int) {
		s.name(fmt.Sprintf("example.com/app:x%d", i), s.manifest(config, fmt.Sprint(i)))
	},
	"indexes of its manifest": func(s *stores, victim, _ ocispec.Descriptor, i int) {
		s.name(fmt.Sprintf("tenant%d.example/x:v1", i), s.index(victim, absent(fmt.Sprint(i))))
	},
	"names of its manifest": func(s *stores, victim, _ ocispec.Descriptor, i int) {
		s.name(fmt.Sprintf("tenant%d.example/x:v1", i), victim)
	},
}

// surrounded is an image that is obtained as example.com/app:v1, with much around it.
func surrounded(s *stores, shape string) (victim, config ocispec.Descriptor) {
	victim, config = s.image("app")
	s.name("example.com/app:v1", victim)
	s.name("example.com/app@"+victim.Digest.String(), victim)
	for i := range 140 {
		shapes[shape](s, victim, config, i)
	}
	return victim, config
}

func ask(config ocispec.Descriptor, reference string) policy.Question {
	return policy.Question{Namespace: "prod", Reference: reference, Config: config.Digest}
}

func TestALargeImageIsAnsweredFromItsOwnNameFirst(t *testing.T) {
	for shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			s := newStores(t)
			victim, config := surrounded(s, shape)
			for way, o := range map[string]*origin.Containerd{"looked up": s.origin(), "cached": s.following()} {
				for reference, own := range map[string]bool{
					"example.com/app:v1": true, "example.com/app@" + victim.Digest.String(): true,
					"example.com/app:v2": false, config.Digest.String(): false,
				} {
					image, err := o.Image(t.Context(), ask(config, reference))
					must(t, err)
					want := found{Confirmed: way == "looked up"}
					if own {
						want.Manifests, want.PulledAs = []string{of(victim, "example.com/app")}, []string{reference}
					}
					same(t, describe(t, image), want)
					if image.Rest == nil {
						t.Fatalf("%s, by %s: the answer should be partial", way, reference)
					}
					whole, err := image.Rest(t.Context())
					must(t, err)
					if len(whole.Manifests)+len(whole.PulledAs) < 142 || whole.Rest != nil {
						t.Errorf("%s, by %s: %d manifests and %d references are all", way, reference,
							len(whole.Manifests), len(whole.PulledAs))
					}
					describe(t, whole)
					same(t, whole.Own(normalized(t, "example.com/app:v1")), []digest.Digest{victim.Digest})
				}
			}
		})
	}
}
