package origin_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// confirm confirms a question and waits until that is done.
func confirm(t *testing.T, s *stores, o *origin.Containerd, name string) {
	t.Helper()
	_, c := s.image(name)
	o.Confirm(question(c))
	eventually(t, "confirmation", func() bool { return confirmed(t, o, question(c)) })
}

func TestAnEventInvalidatesTheImagesItAffectsOnly(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	b, cb := s.image("b")
	s.name("example.com/a:v1", a)
	s.name("example.com/b:v1", b)
	o := s.following()
	confirm(t, s, o, "a")
	confirm(t, s, o, "b")
	s.name("example.com/b:v2", s.index(b))
	s.eventsProcessed(o)
	if confirmed(t, o, question(cb)) {
		t.Error("an image is confirmed though an event concerned it")
	}
	if !confirmed(t, o, question(ca)) {
		t.Error("an image is not confirmed though no event concerned it")
	}
	confirm(t, s, o, "b")

	s.unname("example.com/b:v2")
	s.eventsProcessed(o)
	if confirmed(t, o, question(cb)) {
		t.Error("an image is confirmed though one of its names was removed")
	}
	if !confirmed(t, o, question(ca)) {
		t.Error("an image is not confirmed though no event concerned it")
	}
}

func TestAnUpdateWithTheSameTargetInvalidatesNothing(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", s.index(a))
	o := s.following()
	confirm(t, s, o, "a")
	s.name("example.com/a:v1", s.index(a))
	s.eventsProcessed(o)
	if !confirmed(t, o, question(ca)) {
		t.Error("an image is not confirmed though nothing changed")
	}
}

func TestEachQuestionIsConfirmedSeparately(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", a)
	o := s.following()
	if confirmed(t, o, question(ca)) {
		t.Error("an answer from memory is confirmed without a confirmation")
	}
	confirm(t, s, o, "a")
	other := question(ca)
	other.Reference = "example.com/pulled-just-now:v1"
	if confirmed(t, o, other) {
		t.Error("a question is confirmed though another was")
	}
	o.Confirm(other)
	eventually(t, "confirmation", func() bool { return confirmed(t, o, other) })
}

func TestNothingIsConfirmedWhileATargetIsRead(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", a)
	o := s.following()
	confirm(t, s, o, "a")
	index := s.index(a)
	begun, proceed := s.holdReading(index.Digest)
	s.name("example.com/b:v1", index)
	<-begun
	if confirmed(t, o, question(ca)) {
		t.Error("an image is confirmed though the target of a name that may lead to it is still being read")
	}
	close(proceed)
	eventually(t, "all to be read", func() bool { return o.State().Unread == 0 })
	if confirmed(t, o, question(ca)) {
		t.Error("an image is confirmed though an index was read that lists it")
	}
}

func TestConfirmationChangesTheGeneration(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.eventsProcessed(o)
	generation := o.Generation()
	if confirmed(t, o, question(cb)) {
		t.Fatal("an image that came by an event is confirmed")
	}
	confirm(t, s, o, "b")
	if o.Generation() == generation {
		t.Error("the generation has not changed")
	}
	generation = o.Generation()
	before := s.calls.Load()
	o.Confirm(question(cb))
	if s.calls.Load() != before || o.Generation() != generation {
		t.Error("a confirmed question is confirmed again")
	}
}

func TestConcurrentConfirmationsShareACheckpoint(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.eventsProcessed(o)
	first, proceed := make(chan struct{}), make(chan struct{})
	var published atomic.Int64
	s.fail(func(call, _ string) error {
		if call == "Publish" && published.Add(1) == 1 {
			close(first)
			<-proceed
		}
		return nil
	})
	o.Confirm(question(cb))
	<-first
	other := func(i int) policy.Question {
		q := question(cb)
		q.Reference = fmt.Sprintf("example.com/other:v%d", i)
		return q
	}
	for i := range 100 {
		o.Confirm(question(cb))
		o.Confirm(other(i))
	}
	close(proceed)
	eventually(t, "confirmation", func() bool { return confirmed(t, o, question(cb)) })
	for i := range 100 {
		eventually(t, "confirmation", func() bool { return confirmed(t, o, other(i)) })
	}
	// They may not share the first's, which may be older than what they ask for, but all share the next.
	if got := published.Load(); got != 2 {
		t.Errorf("%d events were published, want 2", got)
	}
}

// TestAConfirmationCostsTheSameHoweverManyImagesThereAre: names are not listed, and images are not read again.
func TestAConfirmationCostsTheSameHoweverManyImagesThereAre(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", a)
	s.name(ca.Digest.String(), a)
	for i := range 50 {
		other, _ := s.image(fmt.Sprint("other ", i))
		s.name(fmt.Sprintf("example.com/other:v%d", i), other)
		if i%2 == 0 {
			s.discard(other.Digest)
		}
	}
	o := s.following()
	listed, before := s.listed.Load(), s.calls.Load()
	confirm(t, s, o, "a")
	if got := s.listed.Load() - listed; got != 0 {
		t.Errorf("names were listed %d times", got)
	}
	// The event, and the names that the question is about.
	if got := s.calls.Load() - before; got > 3 {
		t.Errorf("%d calls to containerd, want 3", got)
	}
}

// TestAnImageIsFoundWhoseEventIsMissing under the names that a pod can call it.
func TestAnImageIsFoundWhoseEventIsMissing(t *testing.T) {
	for name, stored := range map[string]func(m ocispec.Descriptor) string{
		"a tag":    func(ocispec.Descriptor) string { return "example.com/late:v1" },
		"a digest": func(m ocispec.Descriptor) string { return "example.com/late@" + m.Digest.String() },
	} {
		t.Run(name, func(t *testing.T) {
			b := &bus{}
			synctest.Test(t, func(t *testing.T) {
				s := newStoresWith(t, b)
				a, ca := s.image("a")
				s.name("example.com/a:v1", a)
				o := s.origin()
				stop := s.run(o)
				time.Sleep(time.Minute)
				b.loses(func(topic string) bool { return strings.HasPrefix(topic, "/images/") })
				late := stored(a)
				s.name(late, a)
				time.Sleep(time.Minute)
				q := question(ca)
				q.Reference = late
				same(t, originals(t, o, q), []string{"example.com/a:v1"})
				o.Confirm(q)
				time.Sleep(time.Second)
				same(t, originals(t, o, q), []string{"example.com/a:v1", late})
				if !confirmed(t, o, q) {
					t.Error("the image is not confirmed")
				}
				stop()
				must(t, o.Close())
			})
		})
	}
}

// TestAConfirmationWhoseEventIsLost ends with the stream, and is repeated on the next.
func TestAConfirmationWhoseEventIsLost(t *testing.T) {
	b := &bus{}
	synctest.Test(t, func(t *testing.T) {
		s := newStoresWith(t, b)
		a, ca := s.image("a")
		s.name("example.com/a:v1", a)
		o := s.origin()
		stop := s.run(o)
		time.Sleep(time.Minute)
		b.loses(func(string) bool { return true })
		o.Confirm(question(ca))
		time.Sleep(time.Second)
		if confirmed(t, o, question(ca)) {
			t.Error("an image is confirmed without an event")
		}
		began := time.Now()
		b.loses(nil)
		s.loseEvents()
		time.Sleep(time.Second)
		if !o.State().Following {
			t.Fatal("events are not followed again")
		}
		s.name("example.com/a:v2", a)
		time.Sleep(time.Second)
		for !confirmed(t, o, question(ca)) {
			o.Confirm(question(ca))
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it is confirmed after %v", took)
		}
		stop()
		must(t, o.Close())
	})
}

func TestAnEventDuringAConfirmationInvalidatesIt(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.eventsProcessed(o)
	first, proceed := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(first) })
	s.fail(func(call, name string) error {
		if call == "Get" && name == cb.Digest.String() {
			begin()
			<-proceed
		}
		return nil
	})
	o.Confirm(question(cb))
	<-first
	s.name("example.com/b:v2", b)
	close(proceed)
	s.eventsProcessed(o)
	same(t, originals(t, o, question(cb)), []string{"example.com/b:v1", "example.com/b:v2"})
	if confirmed(t, o, question(cb)) {
		t.Error("an image is confirmed by a checkpoint that is older than an event")
	}
	confirm(t, s, o, "b")
}

func TestConfirmationThatFailsIsTriedWhenAskedAgain(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.eventsProcessed(o)
	for _, fails := range []string{"Publish", "Get"} {
		// A question of its own, because a confirmation of another may still be in progress.
		q := question(cb)
		q.Reference = "example.com/" + strings.ToLower(fails) + ":v1"
		var failed atomic.Bool
		s.fail(func(call, _ string) error {
			if call != fails {
				return nil
			}
			failed.Store(true)
			return errors.New("containerd is busy")
		})
		eventually(t, "a failure", func() bool { o.Confirm(q); return failed.Load() })
		if confirmed(t, o, q) {
			t.Errorf("an image is confirmed though %s failed", fails)
		}
		s.fail(nil)
		eventually(t, "confirmation", func() bool { o.Confirm(q); return confirmed(t, o, q) })
		if !o.State().Following {
			t.Errorf("events are not followed any more since %s failed", fails)
		}
	}
}

func TestConfirmationRetriesTheReadsThatItDependsOn(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	index := s.index(a)
	s.name("example.com/a:v1", a)
	s.name("example.com/b:v1", index)
	s.discard(index.Digest)
	o := s.following()
	q := question(ca)
	q.Reference = "example.com/b:v1"
	same(t, originals(t, o, q), []string{"example.com/a:v1"})
	// It is repaired without an event about the name.
	s.index(a)
	o.Confirm(q)
	eventually(t, "confirmation", func() bool { return confirmed(t, o, q) })
	before := s.calls.Load()
	same(t, originals(t, o, q), []string{"example.com/a:v1", "example.com/b:v1"})
	if calls := s.calls.Load() - before; calls != 0 {
		t.Errorf("%d calls to containerd, want none", calls)
	}
}
