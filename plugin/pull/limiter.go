package pull

import "sync"

// Limits of concurrent decisions: in total, for one registry, and for all registries that no policy document names. A
// registry that hangs does not delay others. Hundreds of them, which any tenant can name, do not delay registries that
// a document names. The kubelet pulls one image or a few at a time.
const (
	maxPulls        = 128
	maxPullsPerHost = 16
	maxPullsUnnamed = 96
)

// limiter limits the number of concurrent decisions on pulls.
type limiter struct {
	mu      sync.Mutex
	perHost map[string]int
	total   int
	unnamed int
}

// acquire reports whether another decision for a host may start, which a document names or not; if it may, the caller
// must call release.
func (l *limiter) acquire(host string, named bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxPulls || l.perHost[host] >= maxPullsPerHost || !named && l.unnamed >= maxPullsUnnamed {
		return false
	}
	if !named {
		l.unnamed++
	}
	if l.perHost == nil {
		l.perHost = map[string]int{}
	}
	l.total++
	l.perHost[host]++
	return true
}

// release ends one decision for a host.
func (l *limiter) release(host string, named bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !named {
		l.unnamed--
	}
	l.total--
	if l.perHost[host]--; l.perHost[host] == 0 {
		delete(l.perHost, host)
	}
}
