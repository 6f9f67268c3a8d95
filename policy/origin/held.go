package origin

import (
	"cmp"
	"context"
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
	// Manifests are the image's that were obtained from the reference's repository: manifests, and indexes that lead to
	// them, as in an answer of [Containerd.Image] but without their bytes.
	Manifests []policy.Manifest
}

// Held returns what is in memory of the images whose config is here, the newest first. A reference is there once for
// each of its images. It is all there is once [State] says that events are followed and nothing is unread.
func (c *Containerd) Held() []Held {
	updated, configs := c.memory.held()
	var all []Held
	// Each image alone: decisions wait for the same lock.
	for _, config := range configs {
		found := c.memory.viewOf(config)
		if found == nil {
			continue
		}
		for _, original := range found.originals {
			held := Held{Reference: original, Updated: updated[original.String()]}
			for _, manifest := range found.manifests {
				if rank(manifest, original.Name()) == 0 {
					held.Manifests = append(held.Manifests, manifest)
				}
			}
			all = append(all, held)
		}
	}
	slices.SortStableFunc(all, func(a, b Held) int {
		return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.Reference.String(), b.Reference.String()))
	})
	return all
}

// Find returns the image that a manifest or index leads to, if it is in memory, complete and one: for an index of
// which more than one platform is here, it is unknown which of them a pull will choose. The reference is not
// interpreted, as in [Containerd.Image].
func (c *Containerd) Find(ctx context.Context, target digest.Digest, ref reference.Named) *policy.Image {
	config := c.memory.only(target)
	found := c.memory.viewOf(config)
	if found == nil {
		return nil
	}
	image, err := c.assemble(ctx, policy.Question{Reference: ref.String(), Config: config}, found, true)
	if err != nil || !image.Confirmed {
		return nil
	}
	return image
}

// Present reports whether a manifest or index is here, as far as memory knows.
func (c *Containerd) Present(d digest.Digest) bool {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	return c.memory.nodes[d] != nil || c.memory.roots[d] != nil
}

// Changed returns a channel that is closed when anything changes of what the other methods say.
func (c *Containerd) Changed() <-chan struct{} { return c.memory.awaitChange() }

// held returns when each reference was last updated, and the configs of all images.
func (m *memory) held() (updated map[string]time.Time, configs []digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	updated = make(map[string]time.Time, len(m.names))
	for _, n := range m.names {
		if n.reference == nil {
			continue
		}
		if key := n.reference.String(); n.updated.After(updated[key]) {
			updated[key] = n.updated
		}
	}
	for config := range m.images {
		configs = append(configs, config)
	}
	slices.Sort(configs)
	return updated, configs
}

// viewOf returns the answer for a config whose blob is here, or nil.
func (m *memory) viewOf(config digest.Digest) *view {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.images[config]
	if i == nil || !i.chained {
		return nil
	}
	if i.view == nil {
		i.view = m.lockedView(i)
	}
	return i.view
}

// only returns the one config whose blob is here that a target of names leads to. It returns none where there are
// several, where the target was not read in full, and while events are not followed.
func (m *memory) only(target digest.Digest) digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.roots[target]
	if !m.followed || r == nil || r.state != settled || r.failure != "" {
		return ""
	}
	seen := map[digest.Digest]bool{}
	m.lockedBelow(target, seen)
	var only digest.Digest
	for d := range seen {
		config := m.nodes[d].config
		if i := m.images[config]; i == nil || !i.chained || config == only {
			continue
		}
		if only != "" {
			return ""
		}
		only = config
	}
	return only
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
