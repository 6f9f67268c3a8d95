package origin

import (
	"context"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// maxReaders is how many targets are read at the same time of each kind, and maxReading how long one may take.
const (
	maxReaders = 4
	maxReading = time.Minute
)

// queue is what is waiting to be read. That for which a question waits has readers of its own, so that reading ahead,
// of hostile images too, does not stand in its way.
type queue struct {
	mu      sync.Mutex
	waiting [2][]digest.Digest
	readers [2]int
}

// The two kinds.
const (
	urgent = 0
	ahead  = 1
)

func newQueue() queue { return queue{} }

// enqueue has targets read in the background, in that order.
func (c *Containerd) enqueue(kind int, targets ...digest.Digest) {
	q := &c.reads
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[kind] = append(q.waiting[kind], targets...)
	for range min(maxReaders-q.readers[kind], len(q.waiting[kind])) {
		if !c.start(func(ctx context.Context) { c.reader(ctx, kind) }) {
			q.waiting[kind] = nil
			return
		}
		q.readers[kind]++
	}
}

// reader reads until nothing is waiting.
func (c *Containerd) reader(ctx context.Context, kind int) {
	for {
		target, ok := c.reads.next(kind)
		if !ok {
			return
		}
		c.readRoot(ctx, target, kind)
	}
}

// next takes what waits longest. Without that, the reader ends.
func (q *queue) next(kind int) (digest.Digest, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting[kind]) == 0 {
		q.waiting[kind] = nil
		q.readers[kind]--
		return "", false
	}
	target := q.waiting[kind][0]
	q.waiting[kind] = q.waiting[kind][1:]
	return target, true
}

// readRoot reads a target, unless somebody else does or did.
func (c *Containerd) readRoot(ctx context.Context, target digest.Digest, kind int) {
	r, change := c.memory.begin(target)
	if r == nil {
		return
	}
	within, cancel := context.WithTimeout(ctx, maxReading)
	defer cancel()
	var found outcome
	// Manifests and configs are whatever a tenant had pulled.
	err := policy.Guard("reading an image", c.panicked, func() error {
		found = c.read(within, target, change)
		return nil
	})
	if err != nil {
		// The same bytes would panic again.
		found = outcome{failure: err.Error(), again: onEvent, added: true}
	}
	stale, news := c.memory.settle(target, r, found)
	if news && ctx.Err() == nil {
		c.log.WarnContext(ctx, "image not read", "target", target, "error", found.failure)
	}
	if stale {
		c.enqueue(kind, target)
	}
}

// begin notes that a root is being read now, and returns nil if it is not to be.
func (m *memory) begin(target digest.Digest) (r *root, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r = m.roots[target]
	if r == nil || r.state != unread {
		return nil, 0
	}
	r.state, r.stale = reading, false
	return r, r.change
}

// settle notes how reading a root went. It says whether the root has to be read again now, and whether the failure is
// another than the last time. Of a root that was forgotten meanwhile nothing is noted: another of the same target that
// came instead has to be read separately, for what was read may have been forgotten too.
func (m *memory) settle(target digest.Digest, r *root, found outcome) (stale, news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.roots[target] != r {
		return false, false
	}
	news = found.failure != "" && found.failure != r.failure
	r.reads++
	if found.added {
		for stored := range r.names {
			m.news[stored] = struct{}{}
		}
	}
	if r.stale {
		r.state = unread
		return true, false
	}
	r.failure, r.again = found.failure, found.again
	r.state = settled
	if found.failure != "" && found.again == soon {
		select {
		case m.failing <- struct{}{}:
		default:
		}
	}
	m.unread--
	m.lockedNotify()
	return false, news
}
