package nri_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

func countOf(text, part string) int { return strings.Count(text, part) }

// blocking makes a handler tell when it decides, and accept once it is released.
func blocking(handler *nri.Handler) (deciding <-chan struct{}, release func()) {
	began, released := make(chan struct{}, 1000), make(chan struct{})
	handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
		began <- struct{}{}
		<-released
		return accept(ctx, q)
	}
	return began, sync.OnceFunc(func() { close(released) })
}

// Pending answers reach the runtime when the plugin stops: a container that could be created is not refused because the
// plugin is being updated. It is tried often, because the answer races the end.
func TestStoppedDuringValidation(t *testing.T) {
	for range 20 {
		handler, _ := newHandler()
		deciding, release := blocking(handler)
		c, s := registered(t, handler)
		result := make(chan error, 1)
		go func() { result <- c.create(request()) }()
		await(t, deciding, "the decision to begin")
		s.cancel()
		select {
		case <-s.ended:
			t.Fatal("Run returned while the runtime was waiting for an answer")
		default:
		}
		release()
		if err := await(t, result, "the runtime's answer"); err != nil {
			t.Fatalf("an accepted image was refused: %v", err)
		}
		await(t, s.ended, "Run to return")
		if s.err != nil {
			t.Fatalf("Run returned %v", s.err)
		}
		c.die()
		awaitNothingRuns(t)
	}
}

// A runtime that neither waits nor closes must not keep the plugin from stopping.
func TestStoppedDuringValidationThatNobodyReads(t *testing.T) {
	handler, _ := newHandler()
	deciding, release := blocking(handler)
	defer release()
	c, s := registered(t, handler)
	go func() { _ = c.create(request()) }()
	await(t, deciding, "the decision to begin")
	s.cancel()
	await(t, s.ended, "Run to return though the decision hangs")
}
