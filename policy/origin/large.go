package origin

import (
	"context"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// partial returns the image of a question that has too many manifests or names to collect in a call: only those of the
// question's own name. The rest is collected in the background.
func (c *Containerd) partial(q policy.Question, confirmed bool) *policy.Image {
	image := &policy.Image{Config: q.Config, Confirmed: confirmed}
	image.Rest = func(ctx context.Context) (*policy.Image, error) {
		whole := c.images.collect(ctx, q.Config)
		if whole == nil {
			return nil, c.unknown(q.Config)
		}
		again := c.images.lookup(q)
		return c.assemble(q.Config, whole, again.confirmed), nil
	}
	named, err := policy.Normalize(q.Reference)
	if _, isID := q.ImageID(); isID || err != nil {
		return image
	}
	own := c.images.manifestsOf(named, q.Config)
	if len(own) == 0 {
		return image
	}
	made := &view{manifests: own, originals: []obtained{{named, []string{named.String()}}}}
	found := c.assemble(q.Config, made, confirmed)
	found.Rest = image.Rest
	return found
}

// collect is lockedView for an image with any number of manifests and names. It locks the cache only for short times,
// so a concurrent change may be missing: then the image is not confirmed.
func (m *imageCache) collect(ctx context.Context, config digest.Digest) *view {
	level := m.manifestsWith(config)
	if len(level) == 0 {
		return nil
	}
	made, pacer := newCollector(len(level)), policy.Pacer{}
	for range maxDepth + 1 {
		above := map[digest.Digest]struct{}{}
		for _, d := range level {
			pacer.Pause(ctx)
			for _, parent := range m.collectInto(made, d) {
				above[parent] = struct{}{}
			}
		}
		level = slices.Collect(maps.Keys(above))
	}
	if len(made.nodes) == 0 {
		return nil
	}
	return made.view()
}

// manifestsWith returns the manifests with a config.
func (m *imageCache) manifestsWith(config digest.Digest) []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.images[config]; i != nil {
		return slices.Clone(i.manifests.list)
	}
	return nil
}

// collectInto adds a node to a view, unless the view has it or it was removed meanwhile, and returns the indexes that
// list it.
func (m *imageCache) collectInto(made *collector, d digest.Digest) []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[d]
	if _, there := made.nodes[d]; there || n == nil {
		return nil
	}
	made.add(d, n, m.parents.of(d), m.lockedOriginals(d))
	return made.nodes[d].parents
}
