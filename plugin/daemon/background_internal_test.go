package daemon

import (
	"context"
	"testing"

	"github.com/countersign/countersign/policy"
)

func TestCloseEndsWorkInTheBackgroundAndWaitsForIt(t *testing.T) {
	b := newBackground(nil)
	ended := false
	if !b.start(func(ctx context.Context) { <-ctx.Done(); ended = true }) {
		t.Fatal("nothing was started")
	}
	b.close()
	if !ended {
		t.Error("close did not wait")
	}
	if b.start(func(context.Context) { t.Error("this runs after close") }) {
		t.Error("work was started after close")
	}
}

func TestAPanicInTheBackgroundIsReported(t *testing.T) {
	reported := make(chan string, 1)
	b := newBackground(func(failure *policy.PanicError) { reported <- failure.Part })
	b.start(func(context.Context) { panic("here") })
	if part := <-reported; part != "work in the background" {
		t.Errorf("a panic in %q was reported", part)
	}
	b.close()
}
