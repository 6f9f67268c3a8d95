package policy

import (
	"context"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// standing is what admitted images before, in any namespace: who asks about them next is answered from it, whatever
// others have put around the same configuration since. Nothing is admitted because of it: it says what is judged first.
type standing struct {
	cache *cache[standingKey, []admission]
}

// standingKey is a configuration, and a repository; without one, all repositories.
type standingKey struct{ config, repository string }

// Limits of the cache. An image is usually admitted under few references, by one or two manifests.
const (
	maxStanding     = 8192
	maxStandingSize = 8 << 20
	maxPerKey       = 8
)

func newStanding() standing {
	return standing{newCache(maxStanding, maxStandingSize, func(_ standingKey, list []admission) int {
		const fixed, ofAdmission = 256, 768
		return fixed + ofAdmission*len(list)
	})}
}

// add remembers an admission, the latest first.
func (s standing) add(config digest.Digest, found admission) {
	if found.holds == nil {
		return
	}
	same := func(other admission) bool {
		return other.original.String() == found.original.String() && other.verdict.Digest == found.verdict.Digest
	}
	for _, repository := range []string{"", found.reference.Name()} {
		key := standingKey{string(config), repository}
		before, _ := s.cache.get(key)
		if len(before) > 0 && same(before[0]) {
			continue
		}
		list := slices.DeleteFunc(slices.Clone(before), same)
		list = slices.Insert(list, 0, found)
		s.cache.put(key, list[:min(len(list), maxPerKey)])
	}
}

// manifests returns the digests of the manifests that met a requirement under a repository of a configuration.
func (s standing) manifests(config digest.Digest, ref reference.Named) (found []digest.Digest) {
	list, _ := s.cache.get(standingKey{string(config), ref.Name()})
	for _, admission := range list {
		for _, use := range admission.uses {
			found = append(found, use.manifest[0].Digest)
		}
	}
	return found
}

// byStanding decides by what admitted the image before, if that is still so. It knows one manifest and one reference at
// a time, which is not enough to refuse.
func (d *decision) byStanding(ctx context.Context) (found admission, ok bool) {
	key := standingKey{config: string(d.question.Config)}
	if d.invalid != nil {
		return admission{}, false
	}
	if d.named != nil {
		key.repository = d.named.Name()
	}
	list, _ := d.standing.cache.get(key)
	for _, known := range list {
		if !known.holds() {
			continue
		}
		image := known.image(d.question.Config)
		refs, err := d.candidates(image)
		if err != nil {
			continue
		}
		if found = d.under(ctx, image, refs[0], image.Manifests); found.verdict.Admitted() {
			return found, true
		}
	}
	return admission{}, false
}

// image returns what an admission rests on, as an image.
func (a admission) image(config digest.Digest) *Image {
	return &Image{
		Config: config, Confirmed: true, Manifests: a.manifests, PulledAs: []reference.Named{a.original},
		Holds: func(reference.Named) func() bool { return a.holds },
	}
}
