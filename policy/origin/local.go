package origin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// LocalImage is an image on this node under one of its references.
type LocalImage struct {
	Reference reference.Named
	// Config is the digest of the image's config.
	Config digest.Digest
	// Updated is when containerd last updated one of the names with that reference.
	Updated time.Time
	// Manifests are the manifests of the image to which the reference leads, and the indexes on the way to them,
	// without their contents.
	Manifests []policy.Manifest
}

// LocalImages returns the cached images whose config is present, the newest first. A reference occurs once for each of
// its images. The list is complete if [State.Complete] is true.
func (c *Containerd) LocalImages() []LocalImage {
	type key struct{ reference, config string }
	held := map[key]*LocalImage{}
	for _, stored := range c.Names() {
		for config, one := range c.images.localImages(stored) {
			key := key{one.Reference.String(), string(config)}
			if before := held[key]; before != nil {
				one = one.merge(*before)
			}
			held[key] = &one
		}
	}
	all := make([]LocalImage, 0, len(held))
	for _, one := range held {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b LocalImage) int {
		return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.Reference.String(), b.Reference.String()),
			cmp.Compare(a.Manifests[0].Digest, b.Manifests[0].Digest))
	})
	return all
}

// merge combines two names with the same reference and image.
func (i LocalImage) merge(other LocalImage) LocalImage {
	if other.Updated.After(i.Updated) {
		i.Updated = other.Updated
	}
	for _, manifest := range other.Manifests {
		same := func(m policy.Manifest) bool { return m.Digest == manifest.Digest }
		if !slices.ContainsFunc(i.Manifests, same) {
			i.Manifests = append(i.Manifests, manifest)
		}
	}
	return i
}

// LocalImagesOf is [Containerd.LocalImages] for one image-store name.
func (c *Containerd) LocalImagesOf(stored string) []LocalImage {
	return slices.Collect(maps.Values(c.images.localImages(stored)))
}

// Names returns all image-store names.
func (c *Containerd) Names() []string {
	c.images.mu.Lock()
	defer c.images.mu.Unlock()
	return slices.Collect(maps.Keys(c.images.names))
}

// News returns the image-store names that are new, were set again, or whose target was read, since the last call.
func (c *Containerd) News() []string {
	c.images.mu.Lock()
	defer c.images.mu.Unlock()
	news := slices.Collect(maps.Keys(c.images.news))
	c.images.news = map[string]struct{}{}
	return news
}

// localImages returns the images of a name, by their configs.
func (m *imageCache) localImages(stored string) map[digest.Digest]LocalImage {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[stored]
	if n.reference == nil {
		return nil
	}
	held := map[digest.Digest]LocalImage{}
	for _, config := range m.lockedConfigs(n.target) {
		held[config] = LocalImage{
			Reference: n.reference, Config: config, Updated: n.updated, Manifests: m.lockedManifests(n, config),
		}
	}
	return held
}

// lockedConfigs returns the reachable configs whose blob is present.
func (m *imageCache) lockedConfigs(target digest.Digest) (found []digest.Digest) {
	below := map[digest.Digest]bool{}
	m.lockedBelow(target, below)
	for d := range below {
		config := m.nodes[d].config
		if i := m.images[config]; i != nil && i.hasChainID && !slices.Contains(found, config) {
			found = append(found, config)
		}
	}
	return found
}

// lockedManifests returns the manifests and indexes through which a name leads to a config.
func (m *imageCache) lockedManifests(n name, config digest.Digest) (found []policy.Manifest) {
	for _, d := range m.lockedPath(n.target, config) {
		of := m.nodes[d]
		found = append(found, policy.Manifest{
			Digest: d, MediaType: of.mediaType, Size: of.size, Repositories: []string{n.reference.Name()},
		})
	}
	return found
}

// Find returns the image of a manifest or index if it is cached, complete and unique: if several platforms of an index
// are present, it is unknown which of them a pull will choose. It has the manifests that are reachable from the target,
// under the reference, which is not interpreted.
func (c *Containerd) Find(_ context.Context, target digest.Digest, ref reference.Named) *policy.Image {
	config, manifests := c.images.singleConfig(name{target: target, reference: ref})
	if config == "" {
		return nil
	}
	return c.assemble(config, &view{manifests: manifests, originals: []obtained{{reference: ref}}}, true)
}

// Present reports whether a manifest or index is in the cache.
func (c *Containerd) Present(d digest.Digest) bool {
	c.images.mu.Lock()
	defer c.images.mu.Unlock()
	return c.images.nodes[d] != nil || c.images.roots[d] != nil
}

// Changed returns a channel that is closed when the result of another method may have changed.
func (c *Containerd) Changed() <-chan struct{} { return c.images.awaitChange() }

// singleConfig returns the only config whose blob is present and that is reachable from a target, and the manifests on
// the way. It returns none if there are several, if the target was not read in full, or without events.
func (m *imageCache) singleConfig(n name) (digest.Digest, []policy.Manifest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.roots[n.target]
	if !m.followed || r == nil || r.state != settled || r.failure != "" {
		return "", nil
	}
	configs := m.lockedConfigs(n.target)
	if len(configs) != 1 {
		return "", nil
	}
	return configs[0], m.lockedManifests(n, configs[0])
}

// lockedBelow adds the nodes that are reachable from a digest, each once: indexes may share their children.
func (m *imageCache) lockedBelow(d digest.Digest, seen map[digest.Digest]bool) {
	n := m.nodes[d]
	if n == nil || seen[d] {
		return
	}
	seen[d] = true
	for _, child := range n.children {
		m.lockedBelow(child, seen)
	}
}

// setUpdateTimes records when names were last updated, if they still exist.
func (m *imageCache) setUpdateTimes(times map[string]time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for stored, updated := range times {
		if n, ok := m.names[stored]; ok {
			n.updated = updated
			m.names[stored] = n
		}
	}
}
