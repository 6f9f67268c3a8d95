package policy

import (
	"cmp"
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
	var own []digest.Digest
	if image.Own != nil {
		own = image.Own(ref)
	}
	proven := d.standing.manifests(image.Config, ref)
	canonical, _ := ref.(reference.Canonical)
	ranks := make(map[digest.Digest]int, len(image.Manifests))
	for i := range image.Manifests {
		manifest := &image.Manifests[i]
		switch {
		case canonical != nil && canonical.Digest() == manifest.Digest:
			ranks[manifest.Digest] = rankNamed
		case slices.Contains(own, manifest.Digest):
			ranks[manifest.Digest] = rankOwn
		case slices.Contains(proven, manifest.Digest):
			ranks[manifest.Digest] = rankStanding
		case slices.Contains(manifest.Repositories, ref.Name()):
			ranks[manifest.Digest] = rankRepository
		default:
			ranks[manifest.Digest] = rankOthers
		}
	}
	ranked := slices.Clone(image.Manifests)
	slices.SortStableFunc(ranked, func(a, b Manifest) int { return cmp.Compare(ranks[a.Digest], ranks[b.Digest]) })
	return ranked
}
