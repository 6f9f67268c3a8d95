package origin_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"

	"github.com/countersign/countersign/policy"
)

// bus is an event service. containerd's own cannot be used with virtual time: it never ends its goroutines.
type bus struct {
	client.EventService
	mu          sync.Mutex
	subscribers map[chan *events.Envelope]context.Context
	losing      func(topic string) bool
}

// loses has the bus lose events, by their topic; nil: none.
func (b *bus) loses(losing func(topic string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.losing = losing
}

func (b *bus) Publish(ctx context.Context, topic string, event events.Event) error {
	encoded, err := typeurl.MarshalAny(event)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.losing != nil && b.losing(topic) {
		return ctx.Err()
	}
	for stream, subscribed := range b.subscribers {
		if subscribed.Err() == nil {
			stream <- &events.Envelope{Namespace: kubernetes, Topic: topic, Event: encoded}
		}
	}
	return ctx.Err()
}

func (b *bus) Subscribe(ctx context.Context, _ ...string) (<-chan *events.Envelope, <-chan error) {
	stream, lost := make(chan *events.Envelope, 1000), make(chan error, 1)
	context.AfterFunc(ctx, func() { lost <- ctx.Err() })
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscribers == nil {
		b.subscribers = map[chan *events.Envelope]context.Context{}
	}
	b.subscribers[stream] = ctx
	return stream, lost
}

// TestAFailedReadIsRetried without an event or a question.
func TestAFailedReadIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStoresWith(t, &bus{})
		a, ca := s.image("a")
		b, cb := s.image("b")
		s.name("example.com/a:v1", a)
		s.name("example.com/b:v1", b)
		s.fail(func(call, argument string) error {
			if call == "ReaderAt" && argument == b.Digest.String() {
				return errors.New("the disk is slow")
			}
			return nil
		})
		o := s.origin()
		stop := s.run(o)
		synctest.Wait()
		same(t, originals(t, o, question(ca)), []string{"example.com/a:v1"})
		o.Confirm(question(ca))
		synctest.Wait()
		if !confirmed(t, o, question(ca)) {
			t.Error("an image is not confirmed since another could not be read")
		}
		_, err := o.Image(t.Context(), question(cb))
		refusal(t, err, policy.Unavailable, "the disk is slow", b.Digest.String())
		if unreadable := o.State().Unreadable; unreadable != 1 {
			t.Errorf("%d images are unreadable, want 1", unreadable)
		}

		time.Sleep(time.Hour)
		s.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		before := s.calls.Load()
		same(t, originals(t, o, question(cb)), []string{"example.com/b:v1"})
		if calls := s.calls.Load() - before; calls != 0 {
			t.Errorf("%d calls to containerd, want none", calls)
		}
		stop()
		must(t, o.Close())
	})
}

func TestContainerdThatIsAwayIsTriedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStoresWith(t, &bus{})
		m, c := s.image("app")
		s.name("example.com/app:v1", m)
		s.fail(func(string, string) error { return errors.New("connection refused") })
		o := s.origin()
		stop := s.run(o)
		time.Sleep(24 * time.Hour)
		if o.State().Following {
			t.Error("events are said to be followed")
		}
		// A subscription and an event each time.
		if calls := s.calls.Load(); calls > 2*25*3600 {
			t.Errorf("containerd was called %d times in a day", calls)
		}
		_, err := o.Image(t.Context(), question(c))
		refusal(t, err, policy.Unavailable, "connection refused")

		s.fail(nil)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		same(t, originals(t, o, question(c)), []string{"example.com/app:v1"})
		if !o.State().Following {
			t.Error("events are not followed")
		}
		stop()
		must(t, o.Close())
	})
}

// TestImageIsRefusedAsPendingWhileItIsRead, and found by the next who asks.
func TestImageIsRefusedAsPendingWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStoresWith(t, &bus{})
		m, c := s.image("app")
		s.name("example.com/app:v1", m)
		slow := make(chan struct{})
		s.fail(func(call, _ string) error {
			if call == "ReaderAt" {
				<-slow
			}
			return nil
		})
		o := s.origin()
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		_, err := o.Image(ctx, question(c))
		refusal(t, err, policy.Pending)
		close(slow)
		same(t, originals(t, o, question(c)), []string{"example.com/app:v1"})
		must(t, o.Close())
	})
}

// TestWhatIsKnownIsAnsweredWhileTheRestIsRead says so by not being confirmed.
func TestWhatIsKnownIsAnsweredWhileTheRestIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStoresWith(t, &bus{})
		m, c := s.image("app")
		s.name("example.com/app:v1", m)
		s.name(c.Digest.String(), m)
		slow, _ := s.image("slow")
		s.name("example.com/slow:v1", slow)
		release := make(chan struct{})
		s.fail(func(call, argument string) error {
			if call == "ReaderAt" && argument == slow.Digest.String() {
				<-release
			}
			return nil
		})
		o := s.origin()
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		began := time.Now()
		image, err := o.Image(ctx, question(c))
		must(t, err)
		if took := time.Since(began); image.Confirmed || took != 125*time.Millisecond {
			t.Errorf("answered after %v, confirmed %v; want half of the time, and not confirmed", took, image.Confirmed)
		}
		close(release)
		must(t, o.Close())
	})
}
