package origin_test

import (
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// TestAPanicOfAReaderAffectsItsImageOnly: manifests are untrusted.
func TestAPanicOfAReaderAffectsItsImageOnly(t *testing.T) {
	s := newStores(t)
	hostile, hostileConfig := s.image("hostile")
	good, config := s.image("good")
	s.name("hostile.example/app:v1", hostile)
	s.name("good.example/app:v1", good)
	s.fail(func(call, argument string) error {
		if call == "ReaderAt" && argument == hostile.Digest.String() {
			panic("out of order")
		}
		return nil
	})
	c := origin.New(s.client, kubernetes, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { must(t, c.Close()) })
	var reported atomic.Int64
	c.OnPanic(func(*policy.PanicError) { reported.Add(1) })
	s.run(c)
	eventually(t, "following", func() bool { state := c.State(); return state.Following && state.Unread == 0 })
	if _, err := c.Image(t.Context(), question(config)); err != nil {
		t.Errorf("the other image: %v", err)
	}
	_, err := c.Image(t.Context(), question(hostileConfig))
	refusal(t, err, policy.Unavailable, "panic in reading an image: out of order")
	if state := c.State(); state.Unreadable != 1 {
		t.Errorf("%d are unreadable", state.Unreadable)
	}
	if reported.Load() == 0 {
		t.Error("the panic was not reported")
	}
}
