package evidence

import (
	"errors"
	"slices"
	"time"
)

const (
	// maxFetches is how many fetches run at once, maxFetchesPerHost how many of them for one registry, and maxSlowFetches
	// how many for slow ones: others find a place at once.
	maxFetches        = 8
	maxFetchesPerHost = 4
	maxSlowFetches    = 6
	// maxWaiting is how many fetches wait for their turn, and maxWaitingPerHost how many of them for one registry.
	maxWaiting        = 1024
	maxWaitingPerHost = 256
	// slowFetch is how long a fetch takes that makes its registry a slow one, and maxSlow how many of these are known.
	slowFetch = 2 * time.Second
	maxSlow   = 4096
)

// job is one fetch, waiting or running.
type job struct {
	entry  *entry
	host   string
	urgent bool
	// slow says that its registry was slow when it began to run.
	slow bool
	// done is closed when the fetch has ended; err is why it failed, and may be read from then on.
	done chan struct{}
	err  error
}

// queue says which fetch is next. The Keeper's lock guards it.
type queue struct {
	waiting []*job
	running map[string]int
	total   int
	// slow are the registries whose last fetch took long.
	slow        map[string]struct{}
	slowRunning int
	closed      bool
}

func newQueue() queue { return queue{running: map[string]int{}, slow: map[string]struct{}{}} }

// add lets a job wait, or returns false where too many do.
func (q *queue) add(j *job) bool {
	if q.closed {
		return false
	}
	waiting := map[string]int{}
	for _, other := range q.waiting {
		waiting[other.host]++
	}
	if waiting[j.host] >= maxWaitingPerHost || len(q.waiting) >= maxWaiting && !q.giveWay(waiting, waiting[j.host]) {
		return false
	}
	q.waiting = append(q.waiting, j)
	return true
}

// giveWay sends away the last job of the registry for which the most are waiting, if those are more than another's: a
// few registries that hang cannot keep others from waiting. Who still wants it asks again.
func (q *queue) giveWay(waiting map[string]int, others int) bool {
	crowded, most := "", others+1
	for host, count := range waiting {
		if count > most {
			crowded, most = host, count
		}
	}
	if crowded == "" {
		return false
	}
	for i, j := range slices.Backward(q.waiting) {
		if j.host == crowded {
			q.waiting = slices.Delete(q.waiting, i, i+1)
			j.entry.job, j.err = nil, errBusy
			close(j.done)
			return true
		}
	}
	return false
}

// next takes the job whose turn it is, or nil: one that a container waits for before others, then one of a registry
// that is not slow, then of that which has the fewest running, then the one that waits longest. Registries that hang
// cannot hold up others, however many they are.
func (q *queue) next() *job {
	if q.closed || q.total >= maxFetches {
		return nil
	}
	best := -1
	for i, j := range q.waiting {
		if q.hasPlace(j) && (best < 0 || q.before(j, q.waiting[best])) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	j := q.waiting[best]
	q.waiting = slices.Delete(q.waiting, best, best+1)
	q.running[j.host]++
	q.total++
	if j.slow = q.isSlow(j.host); j.slow {
		q.slowRunning++
	}
	return j
}

// hasPlace reports whether a job may run, as far as that depends on its registry.
func (q *queue) hasPlace(j *job) bool {
	return q.running[j.host] < maxFetchesPerHost && (q.slowRunning < maxSlowFetches || !q.isSlow(j.host))
}

func (q *queue) before(a, b *job) bool {
	if a.urgent != b.urgent {
		return a.urgent
	}
	if slow := q.isSlow(a.host); slow != q.isSlow(b.host) {
		return !slow
	}
	return q.running[a.host] < q.running[b.host]
}

func (q *queue) isSlow(host string) bool {
	_, slow := q.slow[host]
	return slow
}

// finished frees a job's place, and notes how long it took.
func (q *queue) finished(j *job, took time.Duration) {
	if j.slow {
		q.slowRunning--
	}
	switch {
	case took < slowFetch:
		delete(q.slow, j.host)
	case len(q.slow) >= maxSlow:
		clear(q.slow)
		fallthrough
	default:
		q.slow[j.host] = struct{}{}
	}
	q.total--
	if q.running[j.host]--; q.running[j.host] == 0 {
		delete(q.running, j.host)
	}
}

// errClosed says that the Keeper has been closed.
var errClosed = errors.New("the evidence store is closed")

// close ends the jobs that wait; those that run are ended by their context.
func (q *queue) close() {
	q.closed = true
	for _, j := range q.waiting {
		j.entry.job, j.err = nil, errClosed
		close(j.done)
	}
	q.waiting = nil
}
