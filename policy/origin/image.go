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

// Image is a [policy.ImageFunc]. An image that is known is answered for from memory, without a call to containerd.
// Otherwise containerd's names are listed and what was not known is read, once for all who ask before that begins; it
// goes on when ctx ends, and is refused as pending until then.
//
// Manifests come before indexes, each by digest, without their bytes. Of an image with many manifests or names, the
// answer has what the question's own reference leads to, and returns the rest when asked for it.
//
// The refusals: unknown-origin when no image here has that config, unavailable when that cannot be told because
// containerd or some image could not be read, and pending.
func (c *Containerd) Image(ctx context.Context, q policy.Question) (*policy.Image, error) {
	found := c.memory.recall(q)
	if found.known && found.followed {
		return c.answer(q, found), nil
	}
	complete, change, err := c.await(ctx, q.Config, func() bool { return c.memory.recall(q).known })
	if err != nil {
		return nil, err
	}
	if complete {
		c.memory.confirm(q, change)
	}
	found = c.memory.recall(q)
	if !found.known {
		return nil, c.unknown(q.Config)
	}
	found.confirmed = complete
	return c.answer(q, found), nil
}

// answer makes an image of what memory has.
func (c *Containerd) answer(q policy.Question, found recalled) *policy.Image {
	if found.view == nil {
		return c.partial(q, found.confirmed)
	}
	return c.assemble(q.Config, found.view, found.confirmed)
}

// await has containerd's names listed and waits until all is read. Then it reports that what memory has is complete, up
// to a change. When half of the time has passed it is content with what makes known true.
func (c *Containerd) await(
	ctx context.Context, wanted digest.Digest, known func() bool,
) (complete bool, change uint64, err error) {
	var patience <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(deadline) / 2)
		defer timer.Stop()
		patience = timer.C
	}
	l := c.look(wanted, 0)
	impatient := false
	for {
		changed := c.memory.awaitChange()
		select {
		case <-l.done:
			return l.err == nil, l.change, lookError(l.err)
		default:
		}
		if impatient && l.isListed() && known() {
			return false, 0, nil
		}
		select {
		case <-l.done:
		case <-changed:
		case <-patience:
			impatient = true
		case <-ctx.Done():
			return false, 0, policy.Refuse(policy.Pending, "containerd's images are still being read")
		}
	}
}

func (l *look) isListed() bool {
	select {
	case <-l.listed:
		return true
	default:
		return false
	}
}

func lookError(err error) error {
	if err == nil {
		return nil
	}
	return policy.Refuse(policy.Unavailable, "listing containerd's images: %v", err)
}

func (m *memory) awaitChange() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// assemble makes an image of a view. Bytes are read when they are needed.
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
		return c.memory.own(found.namesOf(ref), config)
	}
	image.Holds = func(ref reference.Named) func() bool {
		return c.memory.holds(found.namesOf(ref), config)
	}
	return image
}

// namesOf returns the image-store names that stand for a reference.
func (v *view) namesOf(ref reference.Named) []string {
	at, found := slices.BinarySearchFunc(v.originals, ref.String(), func(o obtained, key string) int {
		return strings.Compare(o.reference.String(), key)
	})
	if !found {
		return nil
	}
	return v.originals[at].names
}

// manifest is a [policy.ReadFunc]. A blob that has left containerd is forgotten.
func (c *Containerd) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	raw, err := c.document(ctx, d)
	if errors.Is(err, errAbsent) {
		c.memory.gone(d)
	}
	return raw, err
}

// unknown refuses a config that no manifest here has, as far as manifests could be read.
func (c *Containerd) unknown(config digest.Digest) error {
	failure, count := c.memory.unreadable(config)
	if count == 0 {
		return policy.Refuse(policy.UnknownOrigin, "no image in containerd has the config %s", config)
	}
	return policy.Refuse(policy.Unavailable,
		"no image that could be read in containerd has the config %s, and %d could not be read: %s", config, count, failure)
}

// unreadable returns why an image could not be read, preferably the one that is known to have that config, and how
// many could not.
func (m *memory) unreadable(config digest.Digest) (failure string, count int) {
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
