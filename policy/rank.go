package policy

import (
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// MaxManifests is of how many manifests evidence is looked up, or fetched, at a time. A tenant can have any number of
// manifests around another's configuration. They are ranked by what others cannot influence, and none is left out: who
// has more of them is answered later.
const MaxManifests = 64

// The ranks of an image's manifests under a reference. Others can fill only the last two, and the last but one only if
// they can push to the repository.
const (
	// rankNamed is the manifest or index whose digest the reference has.
	rankNamed = iota
	// rankOwn are those to which the reference itself leads.
	rankOwn
	// rankStanding are those that met a requirement before.
	rankStanding
	// rankRepository are those to which other references of the repository lead.
	rankRepository
	rankOthers
)

// manifestsFor returns the manifests of an image by their rank under a reference.
func (d *Decider) manifestsFor(image *Image, ref reference.Named) []Manifest {
	if len(image.Manifests) < 2 {
		return image.Manifests
	}
	var own []digest.Digest
	if image.Own != nil {
		own = image.Own(ref)
	}
	proven, repository := d.standing.manifests(image.Config, ref), ref.Name()
	canonical, _ := ref.(reference.Canonical)
	rank := func(manifest *Manifest) int {
		switch {
		case canonical != nil && canonical.Digest() == manifest.Digest:
			return rankNamed
		case slices.Contains(own, manifest.Digest):
			return rankOwn
		case slices.Contains(proven, manifest.Digest):
			return rankStanding
		case slices.Contains(manifest.Repositories, repository):
			return rankRepository
		default:
			return rankOthers
		}
	}
	// next is where the next manifest of each rank goes.
	ranks, next := make([]uint8, len(image.Manifests)), [rankOthers + 1]int{}
	for i := range image.Manifests {
		r := rank(&image.Manifests[i])
		ranks[i] = uint8(r)
		for worse := r + 1; worse <= rankOthers; worse++ {
			next[worse]++
		}
	}
	ranked := make([]Manifest, len(image.Manifests))
	for i, r := range ranks {
		ranked[next[r]] = image.Manifests[i]
		next[r]++
	}
	return ranked
}
