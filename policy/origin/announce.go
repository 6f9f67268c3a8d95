package origin

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/events"
	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

// announcements are the names that events are about, in the order of arrival, until each is evaluated. To evaluate one
// asks containerd, so while many images are pulled, they wait. That they wait is noted as they arrive: a decision about
// their repository must not rest on what memory had before.
type announcements struct {
	c       *Containerd
	mu      sync.Mutex
	waiting []string
	// more is written to when a name is added.
	more chan struct{}
}

func (c *Containerd) newAnnouncements() *announcements {
	return &announcements{c: c, more: make(chan struct{}, 1)}
}

// add adds the name that an event is about.
func (a *announcements) add(event *events.Envelope) {
	stored := eventName(event)
	if stored == "" || event.Topic == probeTopic {
		return
	}
	a.c.memory.announce(stored)
	a.mu.Lock()
	a.waiting = append(a.waiting, stored)
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
}

func (a *announcements) next() (stored string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.waiting = nil
		return "", false
	}
	stored = a.waiting[0]
	a.waiting = a.waiting[1:]
	return stored, true
}

// start evaluates names in the background until the context ends or containerd fails. The function wait returns once
// that has ended.
func (a *announcements) start(ctx context.Context) (failed <-chan error, wait func()) {
	failures := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() {
		err := policy.Guard("evaluating containerd's events", a.c.panicked, func() error { return a.run(ctx) })
		failures <- err
	})
	return failures, running.Wait
}

func (a *announcements) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.more:
		}
		for stored, ok := a.next(); ok; stored, ok = a.next() {
			if err := a.c.hear(ctx, stored); err != nil {
				return err
			}
			a.c.memory.evaluated(stored)
		}
	}
}

// announcement is what has arrived about the names of one repository.
type announcement struct {
	// count is the number of events that have not been evaluated, and last that of the last one.
	count int
	last  uint64
}

func (m *memory) announce(stored string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := announcedAs(stored)
	m.arrived++
	m.announced[key] = announcement{m.announced[key].count + 1, m.arrived}
}

// eventsArrived returns the number of events that have arrived. A list that is made afterwards includes what they are
// about.
func (m *memory) eventsArrived() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.arrived
}

// announcedAs returns the repository of an image-store name, or the name itself if it is no reference.
func announcedAs(stored string) string {
	if named := original(stored); named != nil {
		return named.Name()
	}
	return stored
}

// evaluated notes that an event was evaluated, unless the event stream was lost.
func (m *memory) evaluated(stored string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := announcedAs(stored)
	a := m.announced[key]
	if a.count--; a.count <= 0 {
		delete(m.announced, key)
	} else {
		m.announced[key] = a
	}
	m.lockedWake()
}

// repositories has the image-store names of each repository; one without names is not in it.
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
