package evidence

import (
	"errors"
	"slices"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/internal/domain"
)

const (
	// maxFetches is how many fetches run at once, without those of the rank namedSlow: see [rank]. maxFetchesPerHost is
	// how many run from one registry.
	maxFetches        = 8
	maxFetchesPerHost = 4
	// maxWaiting is how many fetches wait for their turn, and maxWaitingPerHost how many of them for one registry.
	maxWaiting        = 1024
	maxWaitingPerHost = 256
	// slowFetch is how long a fetch takes that shows that its registry does not answer in time.
	slowFetch = 2 * time.Second
)

// job is one fetch, waiting or running.
type job struct {
	entry  *entry
	urgent bool
	// registry, domain and project are those of the repository.
	registry        *registryState
	domain, project *group
	// done is closed when the fetch has ended; err is why it failed, and may be read from then on.
	done chan struct{}
	err  error
}

// queue determines which fetch is next. The Keeper's lock guards it.
type queue struct {
	waiting, running []*job
	registries       registryStates
	// domains and projects have the groups that take turns: the registries of a domain, and the repositories of a registry
	// that have the same first path component.
	domains, projects groups
	closed            bool
}

// newQueue returns an empty queue. The function reports whether a policy document names a registry in a scope.
func newQueue(named func(registry string) bool) queue {
	return queue{registries: newRegistryStates(named), domains: groups{}, projects: groups{}}
}

// add queues a job, or returns false if the queue is full.
func (q *queue) add(e *entry, urgent bool) (*job, bool) {
	if q.closed {
		return nil, false
	}
	host := reference.Domain(e.repository)
	j := &job{
		entry: e, urgent: urgent, done: make(chan struct{}),
		registry: q.registries.of(host),
		domain:   q.domains.of(domain.Of(host)),
		project:  q.projects.of(projectOf(e.repository)),
	}
	isSameHost := func(other *job) bool { return other.registry == j.registry }
	full := j.registry.waiting >= maxWaitingPerHost && !q.makeRoom(j, isSameHost)
	full = full || len(q.waiting) >= maxWaiting && !q.makeRoom(j, func(*job) bool { return true })
	if full {
		q.release(j)
		return nil, false
	}
	q.waiting = append(q.waiting, j)
	j.registry.waiting++
	j.domain.waiting++
	j.project.waiting++
	return j, true
}

// makeRoom removes the most dispensable of some waiting jobs if a new one takes precedence over it. A caller that still
// wants what is removed requests it again.
func (q *queue) makeRoom(j *job, among func(*job) bool) bool {
	at := -1
	for i, other := range q.waiting {
		if among(other) && (at < 0 || !q.waiting[at].isMoreDispensable(other)) {
			at = i
		}
	}
	if at < 0 || !j.takesPrecedence(q.waiting[at]) {
		return false
	}
	q.waiting[at].end(errBusy)
	q.remove(at)
	return true
}

// isMoreDispensable reports whether a waiting job is dropped before another: by the lower rank of its registry, then by
// the number of waiting jobs of its domain or project. Of equal jobs the later one is dropped.
func (j *job) isMoreDispensable(other *job) bool {
	switch a, b := j.registry.rank(), other.registry.rank(); {
	case a != b:
		return a < b
	case j.domain.waiting != other.domain.waiting:
		return j.domain.waiting > other.domain.waiting
	default:
		return j.project.waiting > other.project.waiting
	}
}

// takesPrecedence reports whether a waiting job is removed for a new one: so that many names of one party do not keep
// others from waiting.
func (j *job) takesPrecedence(over *job) bool {
	switch a, b := j.registry.rank(), over.registry.rank(); {
	case a != b:
		return a > b
	case j.domain != over.domain:
		return over.domain.waiting > j.domain.waiting+1
	default:
		return over.project.waiting > j.project.waiting+1
	}
}

// end ends a job that never ran.
func (j *job) end(err error) {
	j.entry.job, j.err = nil, err
	close(j.done)
}

// remove removes a job from those that wait.
func (q *queue) remove(at int) {
	j := q.waiting[at]
	q.waiting = slices.Delete(q.waiting, at, at+1)
	j.registry.waiting--
	j.domain.waiting--
	j.project.waiting--
	q.release(j)
}

// release removes what is known only because of a job.
func (q *queue) release(j *job) {
	q.registries.release(j.registry)
	q.domains.release(j.domain)
	q.projects.release(j.project)
}

// begin starts the job that was added last, if it may run, and reports whether it does. No other can: it could have
// before.
func (q *queue) begin(j *job) bool {
	if !j.hasPlace(q.free()) {
		return false
	}
	q.start(len(q.waiting) - 1)
	return true
}

// next starts the job whose turn it is, and returns it, or nil: one that a container waits for first, then one of a
// registry of a higher rank, then one of a domain and of a project of which fewer run, then the one that waits longest.
func (q *queue) next() *job {
	if q.closed {
		return nil
	}
	best, free := -1, q.free()
	for i, j := range q.waiting {
		if j.hasPlace(free) && (best < 0 || j.before(q.waiting[best])) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return q.start(best)
}

func (j *job) before(other *job) bool {
	if j.urgent != other.urgent {
		return j.urgent
	}
	switch a, b := j.registry.rank(), other.registry.rank(); {
	case a != b:
		return a > b
	case j.domain.running != other.domain.running:
		return j.domain.running < other.domain.running
	default:
		return j.project.running < other.project.running
	}
}

// hasPlace reports whether a job may run while there are free places for these ranks.
func (j *job) hasPlace(free [ranks]bool) bool {
	return j.registry.running < maxFetchesPerHost && free[j.registry.rank()]
}

// free returns for which ranks there is a free place.
func (q *queue) free() (free [ranks]bool) {
	var running [ranks]int
	for _, j := range q.running {
		running[j.registry.rank()]++
	}
	upTo := 0
	for r := range ranks {
		if r == namedSlow {
			continue
		}
		upTo += running[r]
		free[r] = true
		if upTo >= r.places() {
			clear(free[:r+1])
		}
	}
	free[namedSlow] = running[namedSlow] < maxNamedSlow
	return free
}

func (q *queue) start(at int) *job {
	j := q.waiting[at]
	q.running = append(q.running, j)
	j.registry.running++
	j.domain.running++
	j.project.running++
	q.remove(at)
	return j
}

// finished removes a job that has ended, and records how long its registry took to answer, or why it did not.
func (q *queue) finished(j *job, took time.Duration, err error) {
	at := slices.Index(q.running, j)
	q.running = slices.Delete(q.running, at, at+1)
	j.registry.running--
	j.domain.running--
	j.project.running--
	j.registry.record(took, err)
	q.release(j)
}

// errClosed reports that the Keeper has been closed.
var errClosed = errors.New("the evidence store is closed")

// close ends the jobs that wait; those that run are ended by their context.
func (q *queue) close() {
	q.closed = true
	for _, j := range q.waiting {
		j.end(errClosed)
	}
	q.waiting = nil
}
