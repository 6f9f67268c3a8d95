package origin

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// wanted describes the images that a pod's reference can mean.
type wanted struct {
	// repository and digest are those of a name, which may have no digest.
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

// layers is the cached data about images with the same layers.
type layers struct {
	// configs are those of candidate images.
	configs []digest.Digest
	// unread are targets that can lead to another candidate and have not been read yet.
	unread []digest.Digest
	// pending reports whether there is an unprocessed event about a name that can lead to another candidate.
	pending bool
	// failure is why a target that can lead to another candidate could not be read.
	failure string
	// followed reports whether events update the cache.
	followed bool
}

// readDone reports whether all candidates are known.
func (l layers) readDone() bool { return l.followed && len(l.unread) == 0 && !l.pending }

// candidates returns the cached configs with these layers that can be the wanted image. It examines names of the wanted
// repository only, so that the cost does not depend on the images of others. The cache includes the first events, up to
// listed.
func (m *imageCache) candidates(chain string, w wanted, listed uint64) layers {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := layers{followed: m.followed, pending: m.lockedPending(w, listed)}
	for config := range m.lockedWanted(w) {
		if i := m.images[config]; i != nil && i.hasChainID && i.chainID == chain {
			found.configs = append(found.configs, config)
		}
	}
	slices.Sort(found.configs)
	if w.id != "" && len(found.configs) > 0 {
		return found // An ID identifies its image as soon as the config is known.
	}
	for _, target := range m.lockedTargets(w) {
		found.consider(target, m.roots[target])
	}
	return found
}

// lockedWanted returns the configs that can be the wanted image: the one with that ID, or those that are reachable from
// a name of the repository, through the digest if there is one.
func (m *imageCache) lockedWanted(w wanted) map[digest.Digest]struct{} {
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

// consider adds the state of a target that was not read in full.
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

// lockedTargets returns the targets that can lead to a wanted image. The CRI plugin also stores each image that it can
// run under its ID.
func (m *imageCache) lockedTargets(w wanted) []digest.Digest {
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

// lockedPending reports whether there is an unprocessed event about a name that can lead to a wanted image.
func (m *imageCache) lockedPending(w wanted, listed uint64) bool {
	if w.id == "" {
		return m.pending[w.repository].last > listed
	}
	for stored, a := range m.pending {
		if a.last > listed && strings.HasPrefix(stored, w.id) {
			return true
		}
	}
	return false
}

// discover returns the configs that have the layers of a container's root filesystem, without those whose labels show
// that they are another image. It answers from the cache, and lists images only if the cache is not up to date or has
// none: an image can be pulled, and its container created, before the event arrives.
func (c *Containerd) discover(ctx context.Context, container policy.Container) ([]digest.Digest, error) {
	chain, err := c.layersOf(ctx, container.ID)
	if err != nil {
		return nil, err
	}
	configs, err := c.withLayers(ctx, chain, container.Reference)
	if err != nil {
		return nil, err
	}
	return c.narrow(ctx, configs, container.Labels), nil
}

// layersOf returns the chain ID of the image that a container's root filesystem was made from. What has the chain ID of
// an image is no remapped copy, because the key of such a copy is another hash.
func (c *Containerd) layersOf(ctx context.Context, container string) (chain string, err error) {
	if parent, ok := c.preparedParent(container); ok {
		if known, _ := c.images.knows(parent); known {
			return parent, nil
		}
	}
	info, in, err := c.rootfs(ctx, container)
	if err != nil {
		return "", err
	}
	chain, err = originalChain(ctx, in, info)
	if err != nil {
		return "", policy.Refuse(policy.Unavailable, "looking up snapshot %s: %v", info.Parent, err)
	}
	return chain, nil
}

// withLayers returns the configs with these layers that can be the image that a pod calls by a reference.
func (c *Containerd) withLayers(ctx context.Context, chain, written string) ([]digest.Digest, error) {
	w, err := parseWanted(written)
	if err != nil {
		return nil, err
	}
	found := c.images.candidates(chain, w, 0)
	if !found.readDone() || len(found.configs) == 0 {
		if found, err = c.relistFor(ctx, chain, w); err != nil {
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

// relistFor lists images, and waits until all targets that can lead to a wanted image are read.
func (c *Containerd) relistFor(ctx context.Context, chain string, w wanted) (layers, error) {
	l := c.relist("", 0)
	pending := policy.Refuse(policy.Pending, "containerd's images are still being read")
	select {
	case <-l.listed:
	case <-l.done:
		if err := relistError(l.err); err != nil {
			return layers{}, err
		}
	case <-ctx.Done():
		return layers{}, pending
	}
	urged := map[digest.Digest]bool{}
	for {
		changed := c.images.awaitChange()
		// The cache is now at least as new as the list, with or without events.
		found := c.images.candidates(chain, w, l.arrived)
		if len(found.unread) == 0 && !found.pending {
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
