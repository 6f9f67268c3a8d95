package origin

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/events"
	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

// eventQueue holds unprocessed events in the order of arrival. Processing one calls containerd, so a queue
// forms while many images are pulled. Each name is recorded as pending on arrival: a decision about its repository must
// not use older cached data.
type eventQueue struct {
	c       *Containerd
	mu      sync.Mutex
	waiting []announcement
	// more receives a value when something is added.
	more chan struct{}
}

// announcement is an event that waits: about an image-store name, or with the token of a [checkpoint].
type announcement struct{ stored, token string }

func (c *Containerd) newEventQueue() *eventQueue {
	return &eventQueue{c: c, more: make(chan struct{}, 1)}
}

// add queues the name of an event, or remembers the new blob or snapshot.
func (a *eventQueue) add(event *events.Envelope) {
	switch event.Topic {
	case createdTopic:
		a.c.filter.add(eventBlob(event))
		return
	case preparedTopic:
		a.c.prepared.add(event)
		return
	}
	stored := eventName(event)
	switch {
	case stored == "":
		return
	case event.Topic == probeTopic:
		a.queue(announcement{token: stored})
	default:
		a.c.images.eventArrived(stored)
		a.queue(announcement{stored: stored})
	}
}

func (a *eventQueue) queue(one announcement) {
	a.mu.Lock()
	a.waiting = append(a.waiting, one)
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
}

func (a *eventQueue) next() (one announcement, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.waiting = nil
		return announcement{}, false
	}
	one = a.waiting[0]
	a.waiting = a.waiting[1:]
	return one, true
}

// start processes events in the background until the context ends or containerd fails. The function wait returns when
// the processing has ended.
func (a *eventQueue) start(ctx context.Context) (failed <-chan error, wait func()) {
	failures := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() {
		err := policy.Guard("processing containerd's events", a.c.panicked, func() error { return a.run(ctx) })
		failures <- err
	})
	return failures, running.Wait
}

func (a *eventQueue) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.more:
		}
		for one, ok := a.next(); ok; one, ok = a.next() {
			if err := a.process(ctx, one); err != nil {
				return err
			}
		}
	}
}

func (a *eventQueue) process(ctx context.Context, one announcement) error {
	if one.token != "" {
		a.c.process(ctx, one.token)
		return nil
	}
	if err := a.c.handleEvent(ctx, one.stored); err != nil {
		return err
	}
	a.c.images.eventEvaluated(one.stored)
	return nil
}

// pendingEvents counts the unprocessed events about one repository.
type pendingEvents struct {
	// count is the number of unprocessed events, and last the sequence number of the last one.
	count int
	last  uint64
}

func (m *imageCache) eventArrived(stored string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := eventKey(stored)
	m.arrived++
	m.pending[key] = pendingEvents{m.pending[key].count + 1, m.arrived}
}

// eventsArrived returns the number of events that have arrived. A later list includes their changes.
func (m *imageCache) eventsArrived() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.arrived
}

// eventKey returns the repository of an image-store name, or the name if it is not a reference.
func eventKey(stored string) string {
	if named := original(stored); named != nil {
		return named.Name()
	}
	return stored
}

// eventEvaluated records that an event was processed, unless the event stream was lost.
func (m *imageCache) eventEvaluated(stored string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := eventKey(stored)
	a := m.pending[key]
	if a.count--; a.count <= 0 {
		delete(m.pending, key)
	} else {
		m.pending[key] = a
	}
	m.lockedWake()
}

// repositories maps each repository to its image-store names. A repository without names has no entry.
type repositories map[string]map[string]struct{}

func (r repositories) add(named reference.Named, stored string) {
	if named == nil {
		return
	}
	if r[named.Name()] == nil {
		r[named.Name()] = map[string]struct{}{}
	}
	r[named.Name()][stored] = struct{}{}
}

func (r repositories) remove(named reference.Named, stored string) {
	if named == nil {
		return
	}
	names := r[named.Name()]
	if delete(names, stored); len(names) == 0 {
		delete(r, named.Name())
	}
}
