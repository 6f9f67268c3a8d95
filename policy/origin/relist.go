package origin

import (
	"context"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Limits of a relist: a list takes milliseconds, and one that takes longer than this has failed. Only one list is made
// at a time, for all callers that asked before it began, and the number of relists that wait for reads is limited.
const (
	maxListing = 10 * time.Second
	maxLooks   = 64
)

// relists lets concurrent callers share a relist. A relist in progress may have listed names before an image was added,
// so a caller joins only one that has not begun.
type relists struct {
	mu      sync.Mutex
	next    *relist
	slots   chan struct{}
	listing sync.Mutex
	// confirming are the questions whose confirmation is in progress.
	confirming map[policy.Question]struct{}
}

// relist is one list of all names, and the reading of their uncached targets.
type relist struct {
	wanted []digest.Digest
	// follow is the epoch of an event stream that began before the relist, or 0.
	follow uint64
	// listed is closed when names have been listed, and done when all their targets have been read or err is set.
	listed, done chan struct{}
	// change is the last change that the list is known to include.
	change uint64
	// arrived is the number of events that had arrived when the relist began.
	arrived uint64
	err     error
}

func newRelists() relists {
	return relists{slots: make(chan struct{}, maxLooks), confirming: map[policy.Question]struct{}{}}
}

// relist lists containerd's names. Targets of a wanted config are read first.
func (c *Containerd) relist(wanted digest.Digest, follow uint64) *relist {
	c.relists.mu.Lock()
	defer c.relists.mu.Unlock()
	l := c.relists.next
	if l == nil {
		l = &relist{listed: make(chan struct{}), done: make(chan struct{})}
		if !c.start(func(ctx context.Context) { c.runRelist(ctx, l) }) {
			l.err = context.Canceled
			close(l.done)
			return l
		}
		c.relists.next = l
	}
	l.follow = max(l.follow, follow)
	if wanted != "" {
		l.wanted = append(l.wanted, wanted)
	}
	return l
}

// runRelist waits for a slot, lists names, and waits until all targets are read.
func (c *Containerd) runRelist(ctx context.Context, l *relist) {
	defer close(l.done)
	select {
	case c.relists.slots <- struct{}{}:
		defer func() { <-c.relists.slots }()
	case <-ctx.Done():
		c.relists.mu.Lock()
		c.relists.next = nil
		c.relists.mu.Unlock()
		l.err = ctx.Err()
		return
	}
	var missing []digest.Digest
	err := policy.Guard("listing images", c.panicked, func() (err error) {
		missing, err = c.list(ctx, l)
		return err
	})
	if err != nil {
		l.err = err
		return
	}
	close(l.listed)
	l.err = c.images.await(ctx, missing)
}

// list lists names and corrects the cache.
func (c *Containerd) list(ctx context.Context, l *relist) (missing []digest.Digest, err error) {
	c.relists.listing.Lock()
	defer c.relists.listing.Unlock()
	c.relists.mu.Lock()
	c.relists.next = nil
	c.relists.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, maxListing)
	defer cancel()
	l.arrived = c.images.eventsArrived()
	l.change = c.images.listing()
	images, err := c.client.ImageService().List(ctx)
	if err != nil {
		c.images.unlisted()
		return nil, err
	}
	list := make(map[string]digest.Digest, len(images))
	times := make(map[string]time.Time, len(images))
	for _, image := range images {
		list[image.Name], times[image.Name] = image.Target.Digest, image.UpdatedAt
	}
	missing = c.images.compare(list, l.change)
	c.images.setUpdateTimes(times)
	c.images.follow(l.follow)
	for _, config := range l.wanted {
		// The CRI plugin also stores every image under its config digest.
		if target, ok := list[config.String()]; ok {
			c.enqueue(urgent, target)
		}
	}
	c.enqueue(background, missing...)
	return missing, nil
}

// await waits until roots have been read or removed. It does not wait for repeated reads: otherwise a tenant that pulls
// an image over and over would delay all others.
func (m *imageCache) await(ctx context.Context, targets []digest.Digest) error {
	for _, target := range targets {
		var until uint64
		for {
			reads, waiting, changed := m.progress(target)
			if until == 0 {
				until = reads + 2
			}
			if !waiting || reads >= until {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// progress returns how often a root was read, whether it still has to be read, and a channel that is closed on a
// change.
func (m *imageCache) progress(target digest.Digest) (reads uint64, waiting bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.roots[target]
	if r == nil {
		return 0, false, m.changed
	}
	return r.reads, r.state != settled, m.changed
}
