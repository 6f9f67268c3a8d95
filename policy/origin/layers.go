package origin

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// wanted is what a pod's reference says about the image that it wants.
type wanted struct {
	// repository is that of a name, and digest the name's, if it has one.
	repository string
	digest     digest.Digest
	// id is the beginning of the config digest, if the reference is an image ID. Then it names no repository.
	id string
}

func parseWanted(written string) (wanted, error) {
	if hexadecimal, ok := (policy.Question{Reference: written}).ImageID(); ok {
		return wanted{id: "sha256:" + hexadecimal}, nil
	}
	named, err := policy.Normalize(written)
	if err != nil {
		return wanted{}, policy.Refuse(policy.BadRequest, "%v", err)
	}
	w := wanted{repository: named.Name()}
	if canonical, ok := named.(reference.Canonical); ok {
		w.digest = canonical.Digest()
	}
	return w, nil
}

// layers is what memory has about the images with certain layers.
type layers struct {
	// configs are those that can be the wanted image.
	configs []digest.Digest
	// unread are targets that can lead to another one, and are not read yet.
	unread []digest.Digest
	// announced reports whether an event is about a name that can lead to another one, and has not been evaluated.
	announced bool
	// failure is why a target that can lead to another one could not be read; empty: none.
	failure string
	// followed reports whether memory is kept up to date by events.
	followed bool
}

// settled reports whether everything is known that can lead to a wanted image.
func (l layers) settled() bool { return l.followed && len(l.unread) == 0 && !l.announced }

// candidates returns the configs with these layers that can be the wanted image, of those in memory. Only names of the
// wanted repository are examined, so that the cost does not depend on the images of others. The first events, as many
// as listed, are known to be in memory.
func (m *memory) candidates(chain string, w wanted, listed uint64) layers {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := layers{followed: m.followed, announced: m.lockedAnnounced(w, listed)}
	for config := range m.lockedWanted(w) {
		if i := m.images[config]; i != nil && i.chained && i.chain == chain {
			found.configs = append(found.configs, config)
		}
	}
	slices.Sort(found.configs)
	if w.id != "" && len(found.configs) > 0 {
		return found // It is known which image has an ID as soon as its config is.
	}
	for _, target := range m.lockedTargets(w) {
		found.consider(target, m.roots[target])
	}
	return found
}

// lockedWanted returns the configs that can be the wanted image: the one whose ID it is, or those that a name of the
// repository leads to, through the digest if there is one.
func (m *memory) lockedWanted(w wanted) map[digest.Digest]struct{} {
	found := map[digest.Digest]struct{}{}
	if config := digest.Digest(w.id); config.Validate() == nil {
		found[config] = struct{}{}
		return found
	}
	if w.id != "" {
		for config := range m.images {
			if strings.HasPrefix(config.String(), w.id) {
				found[config] = struct{}{}
			}
		}
		return found
	}
	below := map[digest.Digest]bool{}
	for stored := range m.repositories[w.repository] {
		m.lockedBelow(m.names[stored].target, below)
	}
	if w.digest != "" {
		leads := below[w.digest]
		if below = map[digest.Digest]bool{}; leads {
			m.lockedBelow(w.digest, below)
		}
	}
	for d := range below {
		if config := m.nodes[d].config; config != "" {
			found[config] = struct{}{}
		}
	}
	return found
}

// consider adds what is not known of a target.
func (l *layers) consider(target digest.Digest, r *root) {
	switch {
	case r.state != settled:
		if !slices.Contains(l.unread, target) {
			l.unread = append(l.unread, target)
		}
	case r.failure != "" && l.failure == "":
		l.failure = r.failure
	}
}

// lockedTargets returns the targets that can lead to a wanted image. The CRI plugin stores each image that it can run
// under its ID too.
func (m *memory) lockedTargets(w wanted) []digest.Digest {
	if m.roots[w.digest] != nil {
		return []digest.Digest{w.digest}
	}
	var targets []digest.Digest
	switch _, stored := m.names[w.id]; {
	case stored:
		targets = append(targets, m.names[w.id].target)
	case w.id != "":
		for stored, named := range m.names {
			if strings.HasPrefix(stored, w.id) {
				targets = append(targets, named.target)
			}
		}
	default:
		for stored := range m.repositories[w.repository] {
			targets = append(targets, m.names[stored].target)
		}
	}
	return targets
}

// lockedAnnounced reports whether an event that has not been evaluated is about a name that can lead to a wanted image.
func (m *memory) lockedAnnounced(w wanted, listed uint64) bool {
	if w.id == "" {
		return m.announced[w.repository].last > listed
	}
	for stored, a := range m.announced {
		if a.last > listed && strings.HasPrefix(stored, w.id) {
			return true
		}
	}
	return false
}

// discover returns every config with the layers of a container's root filesystem that can be the wanted image. It
// answers from memory. It lists images only if memory is not up to date or has none: an image can be pulled, and its
// container be created, before the event arrives.
func (c *Containerd) discover(ctx context.Context, container policy.Container) ([]digest.Digest, error) {
	info, in, err := c.rootfs(ctx, container.ID)
	if err != nil {
		return nil, err
	}
	chain, err := originalChain(ctx, in, info)
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "looking for snapshot %s: %v", info.Parent, err)
	}
	return c.withLayers(ctx, chain, container.Reference)
}

// Alike returns the configs that a container of a question's image could run for all that its layers tell: the
// question's own, and those with the same layers that can be the wanted image. It is what [Containerd.Content] finds
// for such a container if the runtime reports no config.
func (c *Containerd) Alike(ctx context.Context, q policy.Question) ([]digest.Digest, error) {
	chain, err := c.chain(c.in(ctx), q.Config)
	if err != nil {
		return nil, err
	}
	return c.withLayers(c.in(ctx), chain, q.Reference)
}

// withLayers returns the configs with these layers that can be the image that a pod calls by a reference.
func (c *Containerd) withLayers(ctx context.Context, chain, written string) ([]digest.Digest, error) {
	w, err := parseWanted(written)
	if err != nil {
		return nil, err
	}
	found := c.memory.candidates(chain, w, 0)
	if !found.settled() || len(found.configs) == 0 {
		if found, err = c.settle(ctx, chain, w); err != nil {
			return nil, err
		}
	}
	switch {
	case found.failure != "":
		return nil, policy.Refuse(policy.Unavailable,
			"the images of %s with the layers %q are not all known: %s", written, chain, found.failure)
	case len(found.configs) == 0:
		return nil, policy.Refuse(policy.UnknownOrigin,
			"no image obtained as %s has the layers %q", written, chain)
	}
	return found.configs, nil
}

// settle lists images, and waits until everything is read that can lead to a wanted image.
func (c *Containerd) settle(ctx context.Context, chain string, w wanted) (layers, error) {
	l := c.look("", 0)
	pending := policy.Refuse(policy.Pending, "containerd's images are still being read")
	select {
	case <-l.listed:
	case <-l.done:
		if err := lookError(l.err); err != nil {
			return layers{}, err
		}
	case <-ctx.Done():
		return layers{}, pending
	}
	urged := map[digest.Digest]bool{}
	for {
		changed := c.memory.awaitChange()
		// What is in memory is now at least as new as the list, with or without events.
		found := c.memory.candidates(chain, w, l.arrived)
		if len(found.unread) == 0 && !found.announced {
			return found, nil
		}
		for _, target := range found.unread {
			if !urged[target] {
				urged[target] = true
				c.enqueue(urgent, target)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return layers{}, pending
		}
	}
}
