package origin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Image is a [policy.ImageFunc]. The answer for a cached image comes from memory, without a call to containerd.
// Otherwise containerd's names are listed and uncached targets are read, once for all waiting callers. If ctx ends, the
// call is refused as pending and the reading continues.
//
// Manifests come before indexes, each sorted by digest, without their contents. For an image with many manifests or
// names, the answer has those of the question's own reference; the rest is returned on request.
//
// The refusals: unknown-origin if no image on this node has that config; unavailable if containerd or an image could
// not be read; pending.
func (c *Containerd) Image(ctx context.Context, q policy.Question) (*policy.Image, error) {
	found := c.images.lookup(q)
	if found.known && found.followed {
		return c.answer(q, found), nil
	}
	complete, change, err := c.await(ctx, q.Config, func() bool { return c.images.lookup(q).known })
	if err != nil {
		return nil, err
	}
	if complete {
		c.images.confirm(q, change)
	}
	found = c.images.lookup(q)
	if !found.known {
		return nil, c.unknown(q.Config)
	}
	found.confirmed = complete
	return c.answer(q, found), nil
}

// answer makes an image from cached data.
func (c *Containerd) answer(q policy.Question, found lookupResult) *policy.Image {
	if found.view == nil {
		return c.partial(q, found.confirmed)
	}
	return c.assemble(q.Config, found.view, found.confirmed)
}

// await lists containerd's names and waits until all targets are read. Then it reports that the cache is complete, up
// to a change. After half of the time it returns as soon as known returns true.
func (c *Containerd) await(
	ctx context.Context, wanted digest.Digest, known func() bool,
) (complete bool, change uint64, err error) {
	var halfTime <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(deadline) / 2)
		defer timer.Stop()
		halfTime = timer.C
	}
	l := c.relist(wanted, 0)
	impatient := false
	for {
		changed := c.images.awaitChange()
		select {
		case <-l.done:
			return l.err == nil, l.change, relistError(l.err)
		default:
		}
		if impatient && l.isListed() && known() {
			return false, 0, nil
		}
		select {
		case <-l.done:
		case <-changed:
		case <-halfTime:
			impatient = true
		case <-ctx.Done():
			return false, 0, policy.Refuse(policy.Pending, "containerd's images are still being read")
		}
	}
}

func (l *relist) isListed() bool {
	select {
	case <-l.listed:
		return true
	default:
		return false
	}
}

func relistError(err error) error {
	if err == nil {
		return nil
	}
	return policy.Refuse(policy.Unavailable, "listing containerd's images: %v", err)
}

func (m *imageCache) awaitChange() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// assemble makes an image from a view. Contents are read on demand.
func (c *Containerd) assemble(config digest.Digest, found *view, confirmed bool) *policy.Image {
	image := &policy.Image{
		Config: config, Confirmed: confirmed,
		Manifests: make([]policy.Manifest, len(found.manifests)),
		PulledAs:  make([]reference.Named, len(found.originals)),
	}
	read := policy.ReadFunc(c.manifest)
	for i, manifest := range found.manifests {
		manifest.Read = read
		image.Manifests[i] = manifest
	}
	for i, original := range found.originals {
		image.PulledAs[i] = original.reference
	}
	image.Own = func(ref reference.Named) []digest.Digest {
		return c.images.own(found.namesOf(ref), config)
	}
	image.Holds = func(ref reference.Named) func() bool {
		return c.images.holds(found.namesOf(ref), config)
	}
	return image
}

// namesOf returns the image-store names with a reference.
func (v *view) namesOf(ref reference.Named) []string {
	at, found := slices.BinarySearchFunc(v.originals, ref.String(), func(o obtained, key string) int {
		return strings.Compare(o.reference.String(), key)
	})
	if !found {
		return nil
	}
	return v.originals[at].names
}

// manifest is a [policy.ReadFunc]. A blob that containerd deleted is removed from the cache.
func (c *Containerd) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	raw, err := c.document(ctx, d, nil)
	if errors.Is(err, errAbsent) {
		c.images.manifestDeleted(d)
	}
	return raw, err
}

// unknown refuses a config that no readable manifest has.
func (c *Containerd) unknown(config digest.Digest) error {
	failure, count := c.images.unreadable(config)
	if count == 0 {
		return policy.Refuse(policy.UnknownOrigin, "no image in containerd has the config %s", config)
	}
	return policy.Refuse(policy.Unavailable,
		"no image that could be read in containerd has the config %s, and %d could not be read: %s", config, count, failure)
}

// unreadable returns why an image could not be read, preferably one that has that config, and how many could not.
func (m *imageCache) unreadable(config digest.Digest) (failure string, count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := digest.Digest("")
	for target, r := range m.roots {
		if r.failure == "" {
			continue
		}
		count++
		if first == "" || target < first {
			first = target
		}
	}
	if r := m.roots[m.names[config.String()].target]; r != nil && r.failure != "" {
		return r.failure, count
	}
	if r := m.roots[first]; r != nil {
		return r.failure, count
	}
	return "", count
}
