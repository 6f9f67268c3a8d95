package origin

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// view is the answer for one config digest, without the bytes of its manifests.
type view struct {
	manifests []policy.Manifest
	sizes     map[digest.Digest]int
	size      int
	originals []reference.Named
}

// recall returns what memory has of a question's image, nil when it has nothing. It is confirmed when it was compared
// with containerd for that question, no change that concerns the image was heard of since, and nothing is left to read.
func (m *memory) recall(q policy.Question) (found *view, followed, confirmed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.images[q.Config]
	if i == nil {
		return nil, m.followed, false
	}
	if i.view == nil {
		i.view = m.lockedView(i)
	}
	compared, ok := m.confirmed.Get(q)
	return i.view, m.followed, ok && m.unread == 0 && i.change <= compared
}

// lockedView climbs from the manifests of an image to all indexes that list them, and to the names of all these.
// Manifests come first and then indexes, each by digest.
func (m *memory) lockedView(i *image) *view {
	related := m.lockedRelated(i)
	made := &view{sizes: make(map[digest.Digest]int, len(related))}
	repositories := map[digest.Digest][]string{}
	originals := map[string]reference.Named{}
	for _, d := range related {
		n := m.nodes[d]
		made.sizes[d] = n.size
		made.size += n.size
		made.manifests = append(made.manifests, policy.Manifest{
			Digest: d, MediaType: n.mediaType, Repositories: m.lockedRepositories(d, repositories, 0),
		})
		for _, original := range m.lockedOriginals(d) {
			originals[original.String()] = original
		}
	}
	for _, key := range slices.Sorted(maps.Keys(originals)) {
		made.originals = append(made.originals, originals[key])
	}
	return made
}

// lockedRelated returns the manifests of an image and the indexes that lead to them, from which a name can be reached
// since nothing else is kept.
func (m *memory) lockedRelated(i *image) []digest.Digest {
	level := i.manifests.list
	seen := map[digest.Digest]struct{}{}
	for range maxDepth + 1 {
		var above []digest.Digest
		for _, d := range level {
			if _, ok := seen[d]; !ok {
				seen[d] = struct{}{}
				above = append(above, m.parents.of(d)...)
			}
		}
		level = above
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b digest.Digest) int {
		if isIndex := m.nodes[a].config == ""; isIndex != (m.nodes[b].config == "") {
			if isIndex {
				return 1
			}
			return -1
		}
		return cmp.Compare(a, b)
	})
}

// lockedRepositories returns the repositories of the names that lead to a manifest or index, directly or through
// indexes that list it. known holds what was found before.
func (m *memory) lockedRepositories(d digest.Digest, known map[digest.Digest][]string, depth int) []string {
	if found, ok := known[d]; ok {
		return found
	}
	var found []string
	for _, original := range m.lockedOriginals(d) {
		found = append(found, original.Name())
	}
	if depth < maxDepth {
		for _, parent := range m.parents.of(d) {
			found = append(found, m.lockedRepositories(parent, known, depth+1)...)
		}
	}
	slices.Sort(found)
	found = slices.Clip(slices.Compact(found))
	known[d] = found
	return found
}

// lockedOriginals returns the references whose target a digest is.
func (m *memory) lockedOriginals(d digest.Digest) []reference.Named {
	r := m.roots[d]
	if r == nil {
		return nil
	}
	var found []reference.Named
	for stored := range r.names {
		if original := m.names[stored].reference; original != nil {
			found = append(found, original)
		}
	}
	return found
}

// What one answer may hold. Where there is more, what leads to the repository that the pod names comes first, so that
// nobody can push it out by listing the same manifest in indexes of his own.
const (
	maxManifests     = 128
	maxManifestBytes = 32 << 20
)

// choose returns the manifests to answer with.
func (v *view) choose(written string) []policy.Manifest {
	chosen := slices.Clone(v.manifests)
	if len(chosen) > maxManifests || v.size > maxManifestBytes {
		own := ""
		if named, err := policy.Normalize(written); err == nil {
			own = named.Name()
		}
		slices.SortStableFunc(chosen, func(a, b policy.Manifest) int {
			return cmp.Compare(rank(a, own), rank(b, own))
		})
		chosen = chosen[:min(len(chosen), maxManifests)]
		for v.bytes(chosen) > maxManifestBytes {
			chosen = chosen[:len(chosen)-1]
		}
	}
	return chosen
}

func rank(m policy.Manifest, own string) int {
	if _, found := slices.BinarySearchFunc(m.Repositories, own, strings.Compare); found {
		return 0
	}
	return 1
}

func (v *view) bytes(manifests []policy.Manifest) int {
	sum := 0
	for _, m := range manifests {
		sum += v.sizes[m.Digest]
	}
	return sum
}
