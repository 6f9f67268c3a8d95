package origin

import (
	"context"
	"crypto/rand"
	"sync"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/opencontainers/go-digest"
)

// checkpoint is a point in the stream of containerd's events. We publish an event, and when it arrives, all events that
// containerd published before have arrived too, and are processed first: containerd publishes the event about an image
// before the pull returns, and sends the events of a stream in the order in which they were published.
type checkpoint struct {
	// names are looked up when the checkpoint is reached.
	names []string
	// done is closed when the checkpoint was reached, or cannot be. Then the other fields may be read.
	done    chan struct{}
	reached bool
	// change is the last change before it.
	change uint64
}

// checkpoints lets concurrent callers share a checkpoint. One of which the event has been published may precede a
// change, so a caller joins only one that has not been.
type checkpoints struct {
	mu   sync.Mutex
	next *checkpoint
	// published are those whose event was published, by the token in it. There is one at a time.
	published map[string]*checkpoint
	turn      chan struct{}
}

func newCheckpoints() checkpoints {
	return checkpoints{published: map[string]*checkpoint{}, turn: make(chan struct{}, 1)}
}

// join returns a checkpoint after everything that has happened until now.
func (p *checkpoints) join(c *Containerd, names []string) *checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	point := p.next
	if point == nil {
		point = &checkpoint{done: make(chan struct{})}
		if !c.start(func(ctx context.Context) { c.reach(ctx, point) }) {
			close(point.done)
			return point
		}
		p.next = point
	}
	point.names = append(point.names, names...)
	return point
}

// reach publishes the event of a checkpoint, and waits until it has been processed.
func (c *Containerd) reach(ctx context.Context, point *checkpoint) {
	ctx, cancel := context.WithTimeout(ctx, maxListing)
	defer cancel()
	p, token := &c.checkpoints, rand.Text()
	var err error
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.publish(token, point)
	if err == nil {
		err = c.client.EventService().Publish(ctx, probeTopic, &eventtypes.ImageUpdate{Name: token})
	}
	if err == nil {
		select {
		case <-point.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil && p.take(token) != nil {
		close(point.done)
	}
}

// publish assigns a checkpoint to the event with the token. From then on no caller joins the checkpoint.
func (p *checkpoints) publish(token string, point *checkpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = nil
	p.published[token] = point
}

// take returns the checkpoint of a token, once. Who takes it closes done.
func (p *checkpoints) take(token string) *checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	point := p.published[token]
	delete(p.published, token)
	return point
}

// lost ends the checkpoints whose events will not arrive.
func (p *checkpoints) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for token, point := range p.published {
		delete(p.published, token)
		close(point.done)
	}
}

// process looks up the names of a checkpoint whose event has arrived. All earlier events have been processed.
func (c *Containerd) process(ctx context.Context, token string) {
	point := c.checkpoints.take(token)
	if point == nil {
		// It is the probe of a stream, or the checkpoint of another process.
		return
	}
	defer close(point.done)
	for _, stored := range point.names {
		found, err := c.lookUp(ctx, stored)
		if err != nil {
			// Whoever needs the confirmation asks again.
			return
		}
		if !c.images.agrees(stored, found.Target.Digest) {
			c.learn(stored, found)
		}
	}
	point.change, point.reached = c.images.latest(), true
}

// agrees reports whether a name has that target, "" if it does not exist, and nothing of it is to be read again.
func (m *imageCache) agrees(stored string, target digest.Digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.roots[target]
	return m.names[stored].target == target && (r == nil || r.failure == "" || r.retry == retryOnEvent)
}

// latest returns the number of the last change.
func (m *imageCache) latest() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}
