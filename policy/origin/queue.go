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

// queue holds the targets to read. Targets for which a question waits have readers of their own, so that reading in the
// background, also of hostile images, does not delay them.
type queue struct {
	mu      sync.Mutex
	waiting [2][]digest.Digest
	readers [2]int
}

// The two kinds.
const (
	urgent     = 0
	background = 1
)

func newQueue() queue { return queue{} }

// enqueue queues targets for reading, in that order.
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

// reader reads until the queue is empty.
func (c *Containerd) reader(ctx context.Context, kind int) {
	for {
		target, ok := c.reads.next(kind)
		if !ok {
			return
		}
		c.readRoot(ctx, target, kind)
	}
}

// next returns the oldest target of the queue. If there is none, the reader ends.
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

// readRoot reads a target, unless another reader does or did.
func (c *Containerd) readRoot(ctx context.Context, target digest.Digest, kind int) {
	r, change := c.images.begin(target)
	if r == nil {
		return
	}
	within, cancel := context.WithTimeout(ctx, maxReading)
	defer cancel()
	var found outcome
	// Manifests and configs are untrusted.
	err := policy.Guard("reading an image", c.panicked, func() error {
		found = c.read(within, target, change)
		return nil
	})
	if err != nil {
		// The same bytes would panic again, so there is no retry.
		found = outcome{failure: err.Error(), retry: retryOnEvent, added: true}
	}
	stale, news := c.images.readFinished(target, r, found)
	if news && ctx.Err() == nil {
		c.log.WarnContext(ctx, "image not read", "target", target, "error", found.failure)
	}
	if stale {
		c.enqueue(kind, target)
	}
}

// begin marks a root as being read. It returns nil if the root must not be read.
func (m *imageCache) begin(target digest.Digest) (r *root, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r = m.roots[target]
	if r == nil || r.state != unread {
		return nil, 0
	}
	r.state, r.stale = reading, false
	return r, r.change
}

// readFinished records the result of reading a root. It reports whether the root must be read again at once, and
// whether the failure differs from the last one. The result of a root that was removed meanwhile is dropped: a new root
// with the same target is read separately, because its nodes may have been removed too.
func (m *imageCache) readFinished(target digest.Digest, r *root, found outcome) (stale, news bool) {
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
	m.lockedFail(r, found.failure, found.retry)
	r.state = settled
	if found.failure != "" && found.retry == retryWithBackoff {
		select {
		case m.failing <- struct{}{}:
		default:
		}
	}
	m.unread--
	m.lockedNotify()
	return false, news
}
