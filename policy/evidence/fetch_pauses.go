package evidence

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// toleratedFailures is how often in a row a host may fail before it is left alone. One question about an image can
	// see that many: each request is tried twice, and some registries fail at what they do not know.
	toleratedFailures = 5
	// maxPauses bounds the hosts that are remembered to be failing.
	maxPauses = 1024
)

// pauses says which hosts are to be left alone, because they said so (429, or 503 with Retry-After) or because all they
// answer is that they have failed (5xx).
//
// A host is named with the registry for which it was asked: one registry cannot have another's host left alone.
type pauses struct {
	mu    sync.Mutex
	hosts map[string]*pause
}

// pause is what is remembered of a host that fails.
type pause struct {
	status int
	// failures counts those since the last other answer.
	failures int
	until    time.Time
}

func newPauses() *pauses { return &pauses{hosts: map[string]*pause{}} }

// mayAsk returns an error for a host that is to be left alone.
func (p *pauses) mayAsk(host string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.hosts[host]
	if !ok || !time.Now().Before(known.until) {
		return nil
	}
	return &busyError{status: known.status, after: time.Until(known.until)}
}

// answered notes an answer, and returns an error where the host wants to be left alone: containerd's resolver would ask
// it again at once.
func (p *pauses) answered(host string, response *http.Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	busy := response.StatusCode == http.StatusTooManyRequests
	if response.StatusCode < http.StatusInternalServerError && !busy {
		delete(p.hosts, host)
		return nil
	}
	known := p.of(host)
	known.status = response.StatusCode
	known.failures++
	after := retryAfter(response.Header.Get("Retry-After"), time.Now())
	switch {
	case busy || after > 0 && response.StatusCode == http.StatusServiceUnavailable:
		known.until = time.Now().Add(max(after, backoff(known.failures)))
		return &busyError{status: response.StatusCode, after: after}
	case known.failures > toleratedFailures:
		known.until = time.Now().Add(backoff(known.failures - toleratedFailures))
	}
	return nil
}

// of returns what is remembered of a host, which it begins if there is nothing. Too many hosts are forgotten: those
// that may be asked again, or else all.
func (p *pauses) of(host string) *pause {
	if known, ok := p.hosts[host]; ok {
		return known
	}
	if len(p.hosts) >= maxPauses {
		maps.DeleteFunc(p.hosts, func(_ string, known *pause) bool { return !time.Now().Before(known.until) })
	}
	if len(p.hosts) >= maxPauses {
		clear(p.hosts)
	}
	known := &pause{}
	p.hosts[host] = known
	return known
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(max(0, min(seconds, int(maxRetryAfter/time.Second)))) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(0, min(date.Sub(now), maxRetryAfter))
	}
	return 0
}
