package policy

import (
	"cmp"
	"context"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// pass returns the manifests that are judged under a reference.
type pass func(context.Context, reference.Named) []Manifest

// passes returns the evaluations in their order. For an image with few manifests, each reference is evaluated first
// with its own manifests, so that the verdict does not depend on a name that others can move, and then with all
// manifests.
//
// Otherwise those come first whose evidence is stored: what others put around the image has none that they could not
// have signed. Then each reference is judged with the manifests to which it leads itself. Together these are all,
// without judging every manifest under every reference. If there is only one reference, all manifests are judged under
// it.
func (d *decision) passes(image *Image, refs []reference.Named) []pass {
	ranked := func(_ context.Context, ref reference.Named) []Manifest { return d.manifestsFor(image, ref) }
	isLarge := len(image.Manifests) > MaxManifests || len(refs) > MaxManifests
	hasOwn := len(refs) > 1 && image.Own != nil
	if !isLarge && !hasOwn {
		return []pass{ranked}
	}
	many, own := newMany(image), ranked
	if hasOwn {
		own = func(_ context.Context, ref reference.Named) []Manifest { return many.digests(image.Own(ref)) }
	}
	if !isLarge {
		return []pass{own, func(ctx context.Context, ref reference.Named) []Manifest {
			if len(own(ctx, ref)) == len(image.Manifests) {
				return nil // They were judged.
			}
			return ranked(ctx, ref)
		}}
	}
	if d.sources.Stored == nil {
		return []pass{own}
	}
	stored := func(ctx context.Context, ref reference.Named) []Manifest {
		if len(refs) == 1 {
			return d.stored(ctx, ranked(ctx, ref), ref)
		}
		return many.inRepository(ref, func(of []Manifest) []Manifest { return d.stored(ctx, of, ref) })
	}
	return []pass{stored, own}
}

// stored returns those manifests of which evidence is stored for the repository of a reference. What met a requirement
// before comes first.
func (d *decision) stored(ctx context.Context, manifests []Manifest, ref reference.Named) []Manifest {
	var proven, found []Manifest
	for i := range manifests {
		d.paced.Pause(ctx)
		evidence := d.sources.Stored(manifests[i:i+1], ref).at(0)
		if _, satisfied := evidence.satisfied(); satisfied {
			proven = append(proven, manifests[i])
		} else if evidence.State == Found {
			found = append(found, manifests[i])
		}
	}
	return append(proven, found...)
}

// many are the manifests of an image that has many, by digest and by repository.
type many struct {
	manifests  []Manifest
	byDigest   map[digest.Digest]int
	repository map[string][]Manifest
	// chosen contains, by repository, the manifests that an earlier pass has chosen.
	chosen map[string][]Manifest
}

func newMany(image *Image) *many {
	m := &many{
		manifests: image.Manifests, byDigest: make(map[digest.Digest]int, len(image.Manifests)),
		repository: map[string][]Manifest{}, chosen: map[string][]Manifest{},
	}
	for i, manifest := range image.Manifests {
		m.byDigest[manifest.Digest] = i
		for _, name := range manifest.Repositories {
			m.repository[name] = append(m.repository[name], manifest)
		}
	}
	return m
}

func (m *many) digests(digests []digest.Digest) (found []Manifest) {
	for _, d := range digests {
		if i, ok := m.byDigest[d]; ok {
			found = append(found, m.manifests[i])
		}
	}
	return found
}

// inRepository returns the manifests of the reference's repository that choose returns, which is called once for each
// repository.
func (m *many) inRepository(ref reference.Named, choose func([]Manifest) []Manifest) []Manifest {
	chosen, known := m.chosen[ref.Name()]
	if !known {
		chosen = choose(m.repository[ref.Name()])
		m.chosen[ref.Name()] = chosen
	}
	return chosen
}

// byScope orders the references of an image ID: those come first for which the document has a scope, the most specific
// one first. Anybody can add references for which it has none. audited reports whether scopes that enforce nothing
// count.
func (d *Document) byScope(refs []reference.Named, audited bool) []reference.Named {
	if len(refs) < 2 {
		return refs
	}
	specific := make(map[reference.Named]int, len(refs))
	for _, ref := range refs {
		scopes := scopesOf(ref)
		specific[ref] = slices.IndexFunc(scopes, func(scope string) bool { return d.selects(scope, audited) })
		if specific[ref] < 0 {
			specific[ref] = len(scopes)
		}
	}
	return slices.SortedStableFunc(slices.Values(refs), func(a, b reference.Named) int {
		return cmp.Compare(specific[a], specific[b])
	})
}
