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

// Held is a reference under which an image is on this node.
type Held struct {
	Reference reference.Named
	// Updated is when containerd last set one of the names that stand for the reference.
	Updated time.Time
	// Manifests are the manifests of the image to which the reference leads, and the indexes on the way to them, without
	// their bytes.
	Manifests []policy.Manifest
}

// Held returns what is in memory of the images whose config is here, the newest first. A reference is there once for
// each of its images. It is all there is once [State] says that events are followed and nothing is unread.
func (c *Containerd) Held() []Held {
	type key struct{ reference, config string }
	held := map[key]*Held{}
	for _, stored := range c.Names() {
		for config, one := range c.memory.held(stored) {
			key := key{one.Reference.String(), string(config)}
			if before := held[key]; before != nil {
				one = one.merge(*before)
			}
			held[key] = &one
		}
	}
	all := make([]Held, 0, len(held))
	for _, one := range held {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.Reference.String(), b.Reference.String()),
			cmp.Compare(a.Manifests[0].Digest, b.Manifests[0].Digest))
	})
	return all
}

// merge returns what two names of one reference and image say together.
func (h Held) merge(other Held) Held {
	if other.Updated.After(h.Updated) {
		h.Updated = other.Updated
	}
	for _, manifest := range other.Manifests {
		same := func(m policy.Manifest) bool { return m.Digest == manifest.Digest }
		if !slices.ContainsFunc(h.Manifests, same) {
			h.Manifests = append(h.Manifests, manifest)
		}
	}
	return h
}

// HeldUnder is [Containerd.Held] for one image-store name.
func (c *Containerd) HeldUnder(stored string) []Held {
	return slices.Collect(maps.Values(c.memory.held(stored)))
}

// Names returns all image-store names.
func (c *Containerd) Names() []string {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	return slices.Collect(maps.Keys(c.memory.names))
}

// News returns the image-store names that are new, were set again, or whose target was read, since the last call.
func (c *Containerd) News() []string {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	news := slices.Collect(maps.Keys(c.memory.news))
	c.memory.news = map[string]struct{}{}
	return news
}

// held returns the images to which a name leads, by their configs.
func (m *memory) held(stored string) map[digest.Digest]Held {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[stored]
	if n.reference == nil {
		return nil
	}
	held := map[digest.Digest]Held{}
	for _, config := range m.lockedConfigs(n.target) {
		held[config] = Held{Reference: n.reference, Updated: n.updated, Manifests: m.lockedManifests(n, config)}
	}
	return held
}

// lockedConfigs returns the configs whose blob is here to which a digest leads.
func (m *memory) lockedConfigs(target digest.Digest) (found []digest.Digest) {
	below := map[digest.Digest]bool{}
	m.lockedBelow(target, below)
	for d := range below {
		config := m.nodes[d].config
		if i := m.images[config]; i != nil && i.chained && !slices.Contains(found, config) {
			found = append(found, config)
		}
	}
	return found
}

// lockedManifests returns the manifests and indexes through which a name leads to a config.
func (m *memory) lockedManifests(n name, config digest.Digest) (found []policy.Manifest) {
	for _, d := range m.lockedPath(n.target, config) {
		of := m.nodes[d]
		found = append(found, policy.Manifest{
			Digest: d, MediaType: of.mediaType, Size: of.size, Repositories: []string{n.reference.Name()},
		})
	}
	return found
}

// Find returns the image that a manifest or index leads to, if it is in memory, complete and one: for an index of
// which more than one platform is here, it is unknown which of them a pull will choose. It has the manifests to which
// the target leads, under the reference, which is not interpreted.
func (c *Containerd) Find(_ context.Context, target digest.Digest, ref reference.Named) *policy.Image {
	config, manifests := c.memory.only(name{target: target, reference: ref})
	if config == "" {
		return nil
	}
	return c.assemble(config, &view{manifests: manifests, originals: []obtained{{reference: ref}}}, true)
}

// Present reports whether a manifest or index is here, as far as memory knows.
func (c *Containerd) Present(d digest.Digest) bool {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	return c.memory.nodes[d] != nil || c.memory.roots[d] != nil
}

// Changed returns a channel that is closed when anything changes of what the other methods say.
func (c *Containerd) Changed() <-chan struct{} { return c.memory.awaitChange() }

// only returns the one config whose blob is here that a target of names leads to, and the manifests on the way. It
// returns none where there are several, where the target was not read in full, and while events are not followed.
func (m *memory) only(n name) (digest.Digest, []policy.Manifest) {
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

// lockedBelow adds the nodes that a digest leads to, each once: indexes may share what they list.
func (m *memory) lockedBelow(d digest.Digest, seen map[digest.Digest]bool) {
	n := m.nodes[d]
	if n == nil || seen[d] {
		return
	}
	seen[d] = true
	for _, child := range n.children {
		m.lockedBelow(child, seen)
	}
}

// dated notes when names were last set, as far as they are still known.
func (m *memory) dated(times map[string]time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for stored, updated := range times {
		if n, ok := m.names[stored]; ok {
			n.updated = updated
			m.names[stored] = n
		}
	}
}
