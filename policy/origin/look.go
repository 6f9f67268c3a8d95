package origin

import (
	"context"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Looking is bounded: a list takes milliseconds, and one that takes longer than this is a failure. Names are listed
// once at a time, for all who asked before that began, and only so many looks wait until all is read.
const (
	maxListing = 10 * time.Second
	maxLooks   = 64
)

// looks joins those who want to know what containerd has now. A look in progress may have listed names before an
// image came, so one joins only a look that has not begun.
type looks struct {
	mu      sync.Mutex
	next    *look
	slots   chan struct{}
	listing sync.Mutex
	// confirming are the questions for which a confirmation is under way.
	confirming map[policy.Question]struct{}
}

// look is one listing of all names, and the reading of what was not known.
type look struct {
	wanted []digest.Digest
	// follow is the epoch of an event stream that is received since before the look began, or 0.
	follow uint64
	// listed is closed when names have been listed, and done when all their targets were read as well, or err is set.
	listed, done chan struct{}
	// change is that up to which the list tells the truth.
	change uint64
	// arrived is the number of events that had arrived when it began.
	arrived uint64
	err     error
}

func newLooks() looks {
	return looks{slots: make(chan struct{}, maxLooks), confirming: map[policy.Question]struct{}{}}
}

// look has containerd's names listed. What a wanted config leads to is read before all else.
func (c *Containerd) look(wanted digest.Digest, follow uint64) *look {
	c.looks.mu.Lock()
	defer c.looks.mu.Unlock()
	l := c.looks.next
	if l == nil {
		l = &look{listed: make(chan struct{}), done: make(chan struct{})}
		if !c.start(func(ctx context.Context) { c.runLook(ctx, l) }) {
			l.err = context.Canceled
			close(l.done)
			return l
		}
		c.looks.next = l
	}
	l.follow = max(l.follow, follow)
	if wanted != "" {
		l.wanted = append(l.wanted, wanted)
	}
	return l
}

// runLook waits for its turn, lists, and waits until all is read.
func (c *Containerd) runLook(ctx context.Context, l *look) {
	defer close(l.done)
	select {
	case c.looks.slots <- struct{}{}:
		defer func() { <-c.looks.slots }()
	case <-ctx.Done():
		c.looks.mu.Lock()
		c.looks.next = nil
		c.looks.mu.Unlock()
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
	l.err = c.memory.await(ctx, missing)
}

// list lists names and puts right what memory has.
func (c *Containerd) list(ctx context.Context, l *look) (missing []digest.Digest, err error) {
	c.looks.listing.Lock()
	defer c.looks.listing.Unlock()
	c.looks.mu.Lock()
	c.looks.next = nil
	c.looks.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, maxListing)
	defer cancel()
	l.arrived = c.memory.eventsArrived()
	l.change = c.memory.listing()
	images, err := c.client.ImageService().List(ctx)
	if err != nil {
		c.memory.unlisted()
		return nil, err
	}
	list := make(map[string]digest.Digest, len(images))
	times := make(map[string]time.Time, len(images))
	for _, image := range images {
		list[image.Name], times[image.Name] = image.Target.Digest, image.UpdatedAt
	}
	missing = c.memory.compare(list, l.change)
	c.memory.dated(times)
	c.memory.follow(l.follow)
	for _, config := range l.wanted {
		// The CRI plugin stores every image under its config digest, too.
		if target, ok := list[config.String()]; ok {
			c.enqueue(urgent, target)
		}
	}
	c.enqueue(ahead, missing...)
	return missing, nil
}

// await waits until roots were read, or are gone. One that has to be read again and again is not waited for: who pulls
// an image over and over would hold up all others.
func (m *memory) await(ctx context.Context, targets []digest.Digest) error {
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

// progress says how often a root was read and whether it has to be, and returns what is closed on a change.
func (m *memory) progress(target digest.Digest) (reads uint64, waiting bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.roots[target]
	if r == nil {
		return 0, false, m.changed
	}
	return r.reads, r.state != settled, m.changed
}
