package pull

import "sync"

// Bounds of concurrent decisions, in all and for one registry: a registry that hangs delays no other. The kubelet pulls
// one image at a time, or a few.
const (
	maxPulls        = 128
	maxPullsPerHost = 16
)

// limiter bounds how many pulls are decided on at the same time.
type limiter struct {
	mu      sync.Mutex
	perHost map[string]int
	total   int
}

// acquire reports whether one more pull from a host may be decided on; if so, release must follow.
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

// release ends one decision about a pull from a host.
func (l *limiter) release(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.perHost[host]--; l.perHost[host] == 0 {
		delete(l.perHost, host)
	}
}
