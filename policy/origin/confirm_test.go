package origin_test

import (
	"errors"
	"testing"

	"github.com/countersign/countersign/policy/origin"
)

// confirm has a question confirmed and waits for it.
func confirm(t *testing.T, s *stores, o *origin.Containerd, name string) {
	t.Helper()
	_, c := s.image(name)
	o.Confirm(question(c))
	eventually(t, "confirmation", func() bool { return confirmed(t, o, question(c)) })
}

func TestAnEventUnconfirmsWhatItConcernsAndNoMore(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	b, cb := s.image("b")
	s.name("example.com/a:v1", a)
	s.name("example.com/b:v1", b)
	o := s.following()
	confirm(t, s, o, "a")
	confirm(t, s, o, "b")
	s.name("example.com/b:v2", s.index(b))
	s.settled(o)
	if confirmed(t, o, question(cb)) {
		t.Error("an image is confirmed though an event concerned it")
	}
	if !confirmed(t, o, question(ca)) {
		t.Error("an image is not confirmed though no event concerned it")
	}
	confirm(t, s, o, "b")

	s.unname("example.com/b:v2")
	s.settled(o)
	if confirmed(t, o, question(cb)) {
		t.Error("an image is confirmed though a name of it went")
	}
	if !confirmed(t, o, question(ca)) {
		t.Error("an image is not confirmed though no event concerned it")
	}
}

func TestAnUpdateOfTheSameTargetUnconfirmsNothing(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", s.index(a))
	o := s.following()
	confirm(t, s, o, "a")
	s.name("example.com/a:v1", s.index(a))
	s.settled(o)
	if !confirmed(t, o, question(ca)) {
		t.Error("an image is not confirmed though nothing changed")
	}
}

func TestAnotherQuestionIsConfirmedByItself(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", a)
	o := s.following()
	if confirmed(t, o, question(ca)) {
		t.Error("an answer from memory is confirmed though nobody asked for that")
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
		t.Error("an image is confirmed though a name may lead to it whose target is still being read")
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
	s.settled(o)
	generation := o.Generation()
	if confirmed(t, o, question(cb)) {
		t.Fatal("an image that came by an event is confirmed")
	}
	confirm(t, s, o, "b")
	if o.Generation() == generation {
		t.Error("the generation is what it was")
	}
	generation = o.Generation()
	listed := s.listed.Load()
	o.Confirm(question(cb))
	if s.listed.Load() != listed || o.Generation() != generation {
		t.Error("what is confirmed is confirmed again")
	}
}

func TestConfirmationsOfOneImageAreOne(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.settled(o)
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

func TestAnEventDuringAConfirmationUndoesIt(t *testing.T) {
	s := newStores(t)
	o := s.following()
	b, cb := s.image("b")
	s.name("example.com/b:v1", b)
	s.settled(o)
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
	s.settled(o)
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
	s.settled(o)
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

func TestConfirmationReadsAgainWhatFailed(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	b, cb := s.image("b")
	s.name("example.com/a:v1", a)
	s.name("example.com/b:v1", b)
	s.discard(b.Digest)
	o := s.following()
	// It is repaired, and no event says so.
	s.image("b")
	s.name("example.com/a:v2", a)
	s.settled(o)
	o.Confirm(question(ca))
	eventually(t, "confirmation", func() bool { return confirmed(t, o, question(ca)) })
	before := s.calls.Load()
	same(t, originals(t, o, question(cb)), []string{"example.com/b:v1"})
	if calls := s.calls.Load() - before; calls != 0 {
		t.Errorf("%d calls to containerd, want none", calls)
	}
}
