package registry

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/countersign/countersign/policy/internal/domain"
)

const (
	// toleratedFailures is how often in a row a host may fail before requests to it pause. One fetch for an image can
	// cause that many: each request is made twice, and some registries fail for content that they do not have.
	toleratedFailures = 5
	// maxFailingHosts limits how many failing hosts are stored.
	maxFailingHosts = 1024
)

// hostBackoff has the hosts that get no requests for a while, because they asked for it (429, or 503 with Retry-After)
// or because they keep failing (5xx).
//
// A host is stored with the registry for which it was called: one registry cannot pause another's host.
type hostBackoff struct {
	mu    sync.Mutex
	hosts map[hostKey]*failingHost
	uses  uint64
}

// hostKey is a host, and the registry for which it was called.
type hostKey struct{ registry, host string }

// failingHost is the state of a host that fails.
type failingHost struct {
	status int
	// failures counts the failures since the last other answer.
	failures int
	until    time.Time
	// used orders hosts by their last failure.
	used uint64
}

func newHostBackoff() *hostBackoff { return &hostBackoff{hosts: map[hostKey]*failingHost{}} }

// check returns an error for a host that is paused.
func (b *hostBackoff) check(host hostKey) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, ok := b.hosts[host]
	if !ok || !time.Now().Before(known.until) {
		return nil
	}
	return &BusyError{Status: known.status, After: time.Until(known.until)}
}

// answered records an answer, and returns an error if it pauses the host: containerd's resolver would repeat the
// request immediately.
func (b *hostBackoff) answered(host hostKey, response *http.Response) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	busy := response.StatusCode == http.StatusTooManyRequests
	if response.StatusCode < http.StatusInternalServerError && !busy {
		delete(b.hosts, host)
		return nil
	}
	known := b.of(host)
	known.status = response.StatusCode
	known.failures++
	after := retryAfter(response.Header.Get("Retry-After"), time.Now())
	switch {
	case busy || after > 0 && response.StatusCode == http.StatusServiceUnavailable:
		known.until = time.Now().Add(max(after, Backoff(known.failures)))
		return &BusyError{Status: response.StatusCode, After: after}
	case known.failures > toleratedFailures:
		known.until = time.Now().Add(Backoff(known.failures - toleratedFailures))
	}
	return nil
}

// of returns the state of a host, and creates it if necessary. If there are too many hosts, it evicts one: preferably
// one that is not paused, of the domain with the most registries. So a tenant cannot evict the pauses of other hosts by
// inventing hosts, or by redirects to them.
func (b *hostBackoff) of(host hostKey) *failingHost {
	b.uses++
	if known, ok := b.hosts[host]; ok {
		known.used = b.uses
		return known
	}
	if len(b.hosts) >= maxFailingHosts {
		now := time.Now()
		evicted, _ := domain.Evict(b.hosts, func(key hostKey, known *failingHost) domain.Candidate {
			c := domain.Candidate{Domain: domain.Of(key.registry), Used: known.used}
			if now.Before(known.until) {
				c.Rank = 1
			}
			return c
		})
		delete(b.hosts, evicted)
	}
	known := &failingHost{used: b.uses}
	b.hosts[host] = known
	return known
}

// retryAfter parses a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(max(0, min(seconds, int(MaxRetryAfter/time.Second)))) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(0, min(date.Sub(now), MaxRetryAfter))
	}
	return 0
}

const (
	// MaxRetryAfter limits how long a Retry-After header can pause a registry.
	MaxRetryAfter = 60 * time.Second
	// firstBackoff follows a first failure. It doubles with each further one, up to maxBackoff.
	firstBackoff = time.Second
	maxBackoff   = 15 * time.Second
)

// Backoff returns how long to wait after a number of consecutive failures, with jitter, so that nodes that failed
// together do not retry together.
func Backoff(failures int) time.Duration {
	wait := maxBackoff
	if failures < 5 {
		wait = firstBackoff << (failures - 1)
	}
	return wait*3/4 + rand.N(wait/4)
}
