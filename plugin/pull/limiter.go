package pull

import "sync"

// Limits of concurrent decisions, in total and for one registry: a registry that hangs delays no other. The kubelet
// pulls one image at a time, or a few.
const (
	maxPulls        = 128
	maxPullsPerHost = 16
)

// limiter limits the number of concurrent decisions on pulls.
type limiter struct {
	mu      sync.Mutex
	perHost map[string]int
	total   int
}

// acquire reports whether another decision for a host may start; if it may, the caller must call release.
func (l *limiter) acquire(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxPulls || l.perHost[host] >= maxPullsPerHost {
		return false
	}
	if l.perHost == nil {
		l.perHost = map[string]int{}
	}
	l.total++
	l.perHost[host]++
	return true
}

// release ends one decision for a host.
func (l *limiter) release(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.perHost[host]--; l.perHost[host] == 0 {
		delete(l.perHost, host)
	}
}
