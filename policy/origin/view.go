package origin

import (
	"cmp"
	"maps"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// view is the cached data about one config digest: its manifests and the indexes that list them, without their
// contents, and the references under which they were obtained.
type view struct {
	manifests []policy.Manifest
	originals []obtained
}

// obtained is a reference and its image-store names.
type obtained struct {
	reference reference.Named
	names     []string
}

// maxSmall limits the manifests and the original references of an image that are collected within a call. Anybody can
// make the node pull more of both with somebody else's config. For such an image the answer is partial, see
// [policy.Image].
const maxSmall = policy.MaxManifests

// lookup returns the cached data about a question's image. It is confirmed if it was compared with containerd for that
// question, no later change affects the image, and no target is unread.
func (m *imageCache) lookup(q policy.Question) lookupResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.images[q.Config]
	if i == nil {
		return lookupResult{followed: m.followed}
	}
	compared, ok := m.confirmed.Get(q)
	return lookupResult{
		known: true, view: m.lockedViewOf(i), followed: m.followed,
		confirmed: ok && m.unread == 0 && i.change <= compared,
	}
}

// lookupResult is the cached data about an image.
type lookupResult struct {
	known bool
	// view is nil if the image has too many manifests or names.
	view                *view
	followed, confirmed bool
}

// lockedViewOf returns the view of an image, or nil if it has too many manifests or names.
func (m *imageCache) lockedViewOf(i *image) *view {
	if !i.viewed {
		i.view, i.viewed = m.lockedView(i), true
	}
	return i.view
}

// lockedView collects the manifests of an image, all indexes that list them, and the names of both. It returns nil if
// there are too many. Manifests come before indexes, each sorted by digest.
func (m *imageCache) lockedView(i *image) *view {
	related := m.lockedRelated(i)
	if related == nil {
		return nil
	}
	made := newCollector(len(related))
	for _, d := range related {
		if r := m.roots[d]; r != nil && len(r.names) > 4*maxSmall {
			return nil
		}
		made.add(d, m.nodes[d], m.parents.of(d), m.lockedOriginals(d))
		if len(made.originals) > maxSmall {
			return nil
		}
	}
	return made.view()
}

// lockedRelated returns the manifests of an image and the indexes that lead to them, or nil if there are too many. A
// name leads to each of them, because the cache has no others.
func (m *imageCache) lockedRelated(i *image) []digest.Digest {
	level := i.manifests.list
	seen := map[digest.Digest]struct{}{}
	for range maxDepth + 1 {
		var above []digest.Digest
		if len(level) > maxSmall {
			return nil
		}
		for _, d := range level {
			if _, ok := seen[d]; !ok {
				seen[d] = struct{}{}
				above = append(above, m.parents.of(d)...)
			}
		}
		if len(seen) > maxSmall {
			return nil
		}
		level = above
	}
	return slices.Collect(maps.Keys(seen))
}

// lockedOriginals returns the references whose target is a digest, by image-store name.
func (m *imageCache) lockedOriginals(d digest.Digest) map[string]reference.Named {
	r := m.roots[d]
	if r == nil {
		return nil
	}
	found := make(map[string]reference.Named, len(r.names))
	for stored := range r.names {
		if original := m.names[stored].reference; original != nil {
			found[stored] = original
		}
	}
	return found
}

// collector makes a view of nodes, their parents and the references that lead to them. It does not use the cache.
type collector struct {
	nodes     map[digest.Digest]collected
	originals map[string]obtained
}

type collected struct {
	node         *node
	parents      []digest.Digest
	repositories []string
}

func newCollector(size int) *collector {
	return &collector{nodes: make(map[digest.Digest]collected, size), originals: map[string]obtained{}}
}

func (c *collector) add(d digest.Digest, n *node, parents []digest.Digest, originals map[string]reference.Named) {
	one := collected{node: n, parents: slices.Clone(parents)}
	for stored, named := range originals {
		one.repositories = append(one.repositories, named.Name())
		key := named.String()
		c.originals[key] = obtained{named, append(c.originals[key].names, stored)}
	}
	c.nodes[d] = one
}

func (c *collector) view() *view {
	made := &view{}
	known := map[digest.Digest][]string{}
	for d, one := range c.nodes {
		made.manifests = append(made.manifests, policy.Manifest{
			Digest: d, MediaType: one.node.mediaType, Size: one.node.size, Repositories: c.repositories(d, known, 0),
		})
	}
	slices.SortFunc(made.manifests, func(a, b policy.Manifest) int {
		return cmp.Or(c.rank(a.Digest)-c.rank(b.Digest), cmp.Compare(a.Digest, b.Digest))
	})
	for _, key := range slices.Sorted(maps.Keys(c.originals)) {
		one := c.originals[key]
		slices.Sort(one.names)
		made.originals = append(made.originals, one)
	}
	return made
}

// rank sorts manifests before indexes.
func (c *collector) rank(d digest.Digest) int {
	if c.nodes[d].node.config == "" {
		return 1
	}
	return 0
}

// repositories returns the repositories of the names that lead to a manifest or index, directly or through indexes that
// list it. known caches the results.
func (c *collector) repositories(d digest.Digest, known map[digest.Digest][]string, depth int) []string {
	if found, ok := known[d]; ok {
		return found
	}
	one := c.nodes[d]
	found := slices.Clone(one.repositories)
	if depth < maxDepth {
		for _, parent := range one.parents {
			found = append(found, c.repositories(parent, known, depth+1)...)
		}
	}
	slices.Sort(found)
	found = slices.Clip(slices.Compact(found))
	known[d] = found
	return found
}
