package main

import "sync"

// Bounds of how many pulls are decided on at the same time, in all and of one registry: one that hangs holds up no
// other. The kubelet pulls one image at a time, or some.
const (
	maxPulls        = 128
	maxPullsPerHost = 16
)

// places are what pulls that are being decided on take.
type places struct {
	mu    sync.Mutex
	taken map[string]int
	total int
}

func (p *places) take(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= maxPulls || p.taken[host] >= maxPullsPerHost {
		return false
	}
	if p.taken == nil {
		p.taken = map[string]int{}
	}
	p.total++
	p.taken[host]++
	return true
}

func (p *places) free(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.taken[host]--; p.taken[host] == 0 {
		delete(p.taken, host)
	}
}
