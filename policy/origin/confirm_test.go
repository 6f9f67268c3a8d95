package origin_test

import (
	"errors"
	"testing"

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
	listed := s.listed.Load()
	o.Confirm(question(cb))
	if s.listed.Load() != listed || o.Generation() != generation {
		t.Error("a confirmed question is confirmed again")
	}
}

func TestConcurrentConfirmationsOfAnImageShareAList(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.eventsProcessed(o)
	first, proceed := make(chan struct{}), make(chan struct{})
	s.waitAfterList(func() {
		close(first)
		<-proceed
	})
	before := s.listed.Load()
	o.Confirm(question(cb))
	<-first
	for range 100 {
		o.Confirm(question(cb))
	}
	close(proceed)
	eventually(t, "confirmation", func() bool { return confirmed(t, o, question(cb)) })
	if listed := s.listed.Load() - before; listed != 1 {
		t.Errorf("names were listed %d times, want once", listed)
	}
}

func TestAnEventDuringAConfirmationInvalidatesIt(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.eventsProcessed(o)
	first, proceed := make(chan struct{}), make(chan struct{})
	s.waitAfterList(func() {
		close(first)
		<-proceed
	})
	o.Confirm(question(cb))
	<-first
	s.name("example.com/b:v2", b)
	eventually(t, "the event", func() bool { return len(originals(t, o, question(cb))) == 2 })
	close(proceed)
	s.eventsProcessed(o)
	if confirmed(t, o, question(cb)) {
		t.Error("an image is confirmed by a list that is older than an event")
	}
	confirm(t, s, o, "b")
}

func TestConfirmationThatFailsIsTriedWhenAskedAgain(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.eventsProcessed(o)
	failed := make(chan struct{}, 100)
	s.fail(func(call, _ string) error {
		if call != "List" {
			return nil
		}
		failed <- struct{}{}
		return errors.New("containerd is busy")
	})
	o.Confirm(question(cb))
	<-failed
	if confirmed(t, o, question(cb)) {
		t.Error("an image is confirmed though names could not be listed")
	}
	s.fail(nil)
	eventually(t, "confirmation", func() bool {
		o.Confirm(question(cb))
		return confirmed(t, o, question(cb))
	})
}

func TestConfirmationRetriesFailedReads(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	b, cb := s.image("b")
	s.name("example.com/a:v1", a)
	s.name("example.com/b:v1", b)
	s.discard(b.Digest)
	o := s.following()
	// It is repaired without an event.
	s.image("b")
	s.name("example.com/a:v2", a)
	s.eventsProcessed(o)
	o.Confirm(question(ca))
	eventually(t, "confirmation", func() bool { return confirmed(t, o, question(ca)) })
	before := s.calls.Load()
	same(t, originals(t, o, question(cb)), []string{"example.com/b:v1"})
	if calls := s.calls.Load() - before; calls != 0 {
		t.Errorf("%d calls to containerd, want none", calls)
	}
}
