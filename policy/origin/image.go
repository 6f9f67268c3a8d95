package origin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Image is a [policy.ImageFunc]. An image that is known is answered for from memory, without a call to containerd
// unless bytes of its manifests were dropped. Otherwise containerd's names are listed and what was not known is read,
// once for all who ask before that begins; it goes on when ctx ends, and is refused as pending until then.
//
// Manifests come before indexes, each by digest. The question's reference is not interpreted: where there are more
// manifests than an answer may hold, those of the repository it names come first.
//
// The refusals: unknown-origin when no image here has that config, unavailable when that cannot be told because
// containerd or some image could not be read, and pending.
func (c *Containerd) Image(ctx context.Context, q policy.Question) (*policy.Image, error) {
	if found, followed, confirmed := c.memory.recall(q); found != nil && followed {
		return c.assemble(ctx, q, found, confirmed)
	}
	complete, change, err := c.await(ctx, q.Config, func() bool {
		found, _, _ := c.memory.recall(q)
		return found != nil
	})
	if err != nil {
		return nil, err
	}
	found, _, _ := c.memory.recall(q)
	if found == nil {
		return nil, c.unknown(q.Config)
	}
	if complete {
		c.memory.confirm(q, change)
	}
	return c.assemble(ctx, q, found, complete)
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

// assemble adds the bytes. A manifest whose bytes cannot be had is left out, and then the answer is not confirmed.
func (c *Containerd) assemble(
	ctx context.Context, q policy.Question, found *view, confirmed bool,
) (*policy.Image, error) {
	var failure error
	manifests := found.choose(q.Reference)
	kept := manifests[:0]
	for _, m := range manifests {
		raw, err := c.document(ctx, m.Digest)
		if errors.Is(err, errAbsent) {
			c.memory.gone(m.Digest)
		}
		if err != nil {
			if failure == nil {
				failure = fmt.Errorf("reading manifest %s: %w", m.Digest, err)
			}
			continue
		}
		m.Bytes = raw
		kept = append(kept, m)
	}
	if len(kept) == 0 {
		return nil, policy.Refuse(policy.Unavailable, "%v", failure)
	}
	return &policy.Image{
		Config:    q.Config,
		Manifests: slices.Clip(kept),
		PulledAs:  found.originals,
		Confirmed: confirmed && failure == nil,
	}, nil
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
