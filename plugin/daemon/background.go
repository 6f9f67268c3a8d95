package daemon

import (
	"context"
	"sync"

	"github.com/countersign/countersign/policy"
)

// background runs functions for parts that have no goroutines of their own, until it is closed.
type background struct {
	ctx      context.Context
	cancel   context.CancelFunc
	panicked policy.PanicFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newBackground(panicked policy.PanicFunc) *background {
	ctx, cancel := context.WithCancel(context.Background())
	return &background{ctx: ctx, cancel: cancel, panicked: panicked}
}

// start runs a function in the background, unless close was called. It reports whether it does.
func (b *background) start(f func(context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Go(func() {
		_ = policy.Guard("work in the background", b.panicked, func() error { f(b.ctx); return nil })
	})
	return true
}

// close ends the contexts of all functions and waits for them.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.running.Wait()
}
