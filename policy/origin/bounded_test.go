package origin_test

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestAbsentManifestsUseLittleMemory: a tenant's image may list ten thousand manifests of other platforms, in one index
// or in many. What is cached of each image does not grow with them.
func TestAbsentManifestsUseLittleMemory(t *testing.T) {
	const images, most = 3, 300 // Indexes, and what they list.
	for name, index := range map[string]func(s *stores, i int) ocispec.Descriptor{
		"one index": func(s *stores, i int) ocispec.Descriptor {
			return s.index(absentMany(9_900, fmt.Sprint("image ", i, " "))...)
		},
		"indexes in an index": func(s *stores, i int) ocispec.Descriptor {
			var narrow []ocispec.Descriptor
			for j := range 39 {
				narrow = append(narrow, s.index(absentMany(250, fmt.Sprint("image ", i, " index ", j, " "))...))
			}
			return s.index(narrow...)
		},
		"a chain of indexes": func(s *stores, i int) ocispec.Descriptor {
			var inner []ocispec.Descriptor
			for j := range 7 {
				inner = []ocispec.Descriptor{s.index(append(inner, absentMany(250, fmt.Sprint(i, " depth ", j, " "))...)...)}
			}
			return inner[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStores(t)
			o, _ := s.filled()
			for i := range images {
				s.name(fmt.Sprintf("example.com/wide-%d:v1", i), index(s, i))
			}
			s.eventsProcessed(o)
			if listed := o.Sizes()[3]; listed > images*most {
				t.Errorf("%d descriptors of %d images are cached, more than %d each", listed, images, most)
			}
		})
	}
}

// TestLargeIndexesThatListOneManifest: each of them counts as an index of the image.
func TestLargeIndexesThatListOneManifest(t *testing.T) {
	s := newStores(t)
	o, _ := s.filled()
	m, config := s.image("app")
	first := s.index(append(absentMany(300, "first "), m)...)
	second := s.index(append(absentMany(300, "second "), m)...)
	target := s.index(first, second)
	s.name("example.com/app:v1", target)
	s.eventsProcessed(o)
	image, err := o.Image(t.Context(), question(config))
	must(t, err)
	want := []string{m.Digest.String(), first.Digest.String(), second.Digest.String(), target.Digest.String()}
	got := map[string]bool{}
	for _, manifest := range image.Manifests {
		got[manifest.Digest.String()] = true
	}
	for _, d := range want {
		if !got[d] {
			t.Errorf("%s is not among the manifests of the image", d)
		}
	}
}
