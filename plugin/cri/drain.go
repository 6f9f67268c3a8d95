package cri

import "sync"

// pulls counts the pulls in progress.
type pulls struct {
	mu      sync.Mutex
	running int
	// idle is closed when no pull is in progress. It is nil unless somebody waits for that.
	idle chan struct{}
}

// start counts a pull, until the function that it returns is called.
func (p *pulls) start() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running++
	return p.end
}

func (p *pulls) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if p.running == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

func (p *pulls) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// none returns a channel that is closed when no pull is in progress.
func (p *pulls) none() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle == nil {
		p.idle = make(chan struct{})
	}
	waiting := p.idle
	if p.running == 0 {
		close(p.idle)
		p.idle = nil
	}
	return waiting
}
