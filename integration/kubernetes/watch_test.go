package kubernetes_test

import (
	"context"
	"sync"
	"testing"
	"time"
)

// watch calls a function every few milliseconds, and reports the first error. It ends with the returned function.
func watch(t *testing.T, what string, holds func() error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for samples := 0; ; samples++ {
			select {
			case <-ctx.Done():
				t.Logf("%d times, %s", samples, what)
				return
			case <-time.After(5 * time.Millisecond):
			}
			if err := holds(); err != nil {
				t.Errorf("%d times, %s, and then: %v", samples, what, err)
				return
			}
		}
	})
	return func() { cancel(); running.Wait() }
}
