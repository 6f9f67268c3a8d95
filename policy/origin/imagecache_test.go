package origin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// originals asks for an image and returns its original references.
func originals(tb testing.TB, o *origin.Containerd, q policy.Question) []string {
	tb.Helper()
	image, err := o.Image(tb.Context(), q)
	must(tb, err)
	return describe(tb, image).PulledAs
}

// confirmed asks for an image and whether that was compared.
func confirmed(tb testing.TB, o *origin.Containerd, q policy.Question) bool {
	tb.Helper()
	image, err := o.Image(tb.Context(), q)
	must(tb, err)
	return image.Confirmed
}

// eventsProcessed waits until all earlier events are processed: it creates another event and waits for that. It asks no
// question, because a question may list the names.
func (s *stores) eventsProcessed(o *origin.Containerd) {
	s.tb.Helper()
	m, _ := s.image("settled")
	stored := fmt.Sprintf("example.com/settled:%d", s.markers.Add(1))
	s.name(stored, m)
	eventually(s.tb, "an event", func() bool { return o.Target(stored) == m.Digest && o.State().Unread == 0 })
}

func TestKnownImageIsNoCall(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	s.name("example.com/app:v1", s.index(absent("arm"), m))
	o := s.following()
	before := s.calls.Load()
	for range 10 {
		_, err := o.Image(t.Context(), question(c))
		must(t, err)
	}
	if calls := s.calls.Load() - before; calls != 0 {
		t.Errorf("%d calls to containerd, want none", calls)
	}
}

func TestImageThatComesIsReadAhead(t *testing.T) {
	s := newStores(t)
	o := s.following()
	m, c := s.image("app")
	s.name("example.com/app:v1", m)
	s.eventsProcessed(o)
	before := s.calls.Load()
	same(t, originals(t, o, question(c)), []string{"example.com/app:v1"})
	if calls := s.calls.Load() - before; calls != 0 {
		t.Errorf("%d calls to containerd, want none", calls)
	}
}

func TestNamesComeAndMoveAndGo(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	b, cb := s.image("b")
	s.name("example.com/a:v1", a)
	s.name("example.com/b:v1", b)
	o := s.following()
	generation := o.Generation()

	s.name("example.com/moving:v1", a)
	s.eventsProcessed(o)
	same(t, originals(t, o, question(ca)), []string{"example.com/a:v1", "example.com/moving:v1"})

	s.name("example.com/moving:v1", b)
	s.eventsProcessed(o)
	same(t, originals(t, o, question(ca)), []string{"example.com/a:v1"})
	same(t, originals(t, o, question(cb)), []string{"example.com/b:v1", "example.com/moving:v1"})

	s.unname("example.com/moving:v1")
	s.unname("example.com/a:v1")
	s.eventsProcessed(o)
	same(t, originals(t, o, question(cb)), []string{"example.com/b:v1"})
	_, err := o.Image(t.Context(), question(ca))
	refusal(t, err, policy.UnknownOrigin)
	if o.Generation() == generation {
		t.Error("the generation has not changed")
	}
}

func TestManifestThatComesIsFoundInAnIndexReadBefore(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	s.discard(m.Digest)
	i := s.index(m, absent("arm"))
	s.name("a.example/app:v1", i)
	o := s.following()
	_, err := o.Image(t.Context(), question(c))
	refusal(t, err, policy.UnknownOrigin)

	// It is pulled from elsewhere.
	s.image("app")
	s.name("b.example/app:v1", m)
	s.eventsProcessed(o)
	image, err := o.Image(t.Context(), question(c))
	must(t, err)
	same(t, describe(t, image).Manifests, sorted(of(m, "a.example/app", "b.example/app"), of(i, "a.example/app")))
}

func TestContentThatComesToANameIsRead(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	s.discard(m.Digest)
	i := s.index(m)
	s.name("example.com/app:v1", i)
	o := s.following()
	s.image("app")
	s.name("example.com/app:v1", i)
	s.eventsProcessed(o)
	same(t, originals(t, o, question(c)), []string{"example.com/app:v1"})
}

func TestNothingIsKeptThatNoNameLeadsTo(t *testing.T) {
	s := newStores(t)
	o := s.following()
	empty := o.Sizes()
	m, _ := s.image("app")
	other, _ := s.image("other")
	wide := s.index(append(absentMany(400, "x"), m)...)
	names := []string{"example.com/a:v1", "example.com/b:v1", "example.com/c:v1", "example.com/d:v1"}
	s.name(names[0], m)
	s.name(names[1], s.index(m, absent("arm"), s.index(other)))
	s.name(names[2], wide)
	s.name(names[3], absent("gone"))
	eventually(t, "all is read", func() bool { return o.State().Names == 4 && o.State().Unread == 0 })
	if sizes := o.Sizes(); sizes[2] != 5 {
		t.Errorf("%d manifests and indexes are kept, want 5", sizes[2])
	}
	for _, stored := range names {
		s.unname(stored)
	}
	eventually(t, "all is gone", func() bool { return o.State().Names == 0 })
	same(t, o.Sizes(), empty)
}

// TestANodeRemovedDuringAReadIsStoredAgain: an index with hundreds of children lists another index, whose own name is
// removed while the first one is read again.
func TestANodeRemovedDuringAReadIsStoredAgain(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	inner := s.index(append(absentMany(300, "inner"), m)...)
	s.name("example.com/inner:v1", inner)
	// Otherwise it is not read again.
	s.failWalk()
	o := s.following()
	o.DropBytes()
	begun, proceed := s.holdReading(inner.Digest)
	s.name("example.com/outer:v1", s.index(append(absentMany(300, "outer"), inner)...))
	<-begun
	s.unname("example.com/inner:v1")
	eventually(t, "the name to go", func() bool { return o.Target("example.com/inner:v1") == "" })
	close(proceed)
	eventually(t, "all to be read", func() bool { return o.State().Unread == 0 })
	before := s.calls.Load()
	same(t, originals(t, o, question(c)), []string{"example.com/outer:v1"})
	if calls := s.calls.Load() - before; calls != 0 {
		t.Errorf("%d calls to containerd, want none", calls)
	}
}

func TestNameThatGoesWhileItIsReadLeavesNothing(t *testing.T) {
	s := newStores(t)
	o := s.following()
	empty := o.Sizes()
	m, _ := s.image("app")
	index := s.index(m)
	begun, proceed := s.holdReading(index.Digest)
	s.name("example.com/app:v1", index)
	<-begun
	s.unname("example.com/app:v1")
	eventually(t, "the name to go", func() bool { return o.State().Names == 0 })
	close(proceed)
	// It waits for those who read.
	must(t, o.Close())
	same(t, o.Sizes(), empty)
}

func TestLostEventsEmptyTheMemory(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", a)
	o := s.following()
	s.fail(func(call, _ string) error {
		if call == "Subscribe" {
			return errors.New("containerd is unreachable")
		}
		return nil
	})
	s.loseEvents()
	eventually(t, "the loss is noticed", func() bool { return !o.State().Following })

	if o.Generation() == o.Generation() { //nolint:staticcheck // two calls
		t.Error("the generation is constant without events")
	}
	s.name("example.com/moved:v1", a)
	before := s.listed.Load()
	same(t, originals(t, o, question(ca)), []string{"example.com/a:v1", "example.com/moved:v1"})
	if !confirmed(t, o, question(ca)) {
		t.Error("what was just looked up is not confirmed")
	}
	if s.listed.Load() == before {
		t.Error("the answer came from the cache")
	}
	s.fail(func(string, string) error { return errors.New("containerd is unreachable") })
	_, err := o.Image(t.Context(), question(ca))
	refusal(t, err, policy.Unavailable, "containerd is unreachable")

	s.unname("example.com/a:v1")
	s.fail(nil)
	eventually(t, "events are followed again", func() bool { return o.State().Following && o.State().Unread == 0 })
	before = s.calls.Load()
	same(t, originals(t, o, question(ca)), []string{"example.com/moved:v1"})
	if calls := s.calls.Load() - before; calls != 0 {
		t.Errorf("%d calls to containerd, want none", calls)
	}
}

func TestEndOfRunEmptiesTheMemory(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", a)
	o := s.origin()
	stop := s.run(o)
	eventually(t, "following", func() bool { return o.State().Following })
	stop()
	if o.State().Following {
		t.Error("events are said to be followed")
	}
	s.name("example.com/b:v1", a)
	same(t, originals(t, o, question(ca)), []string{"example.com/a:v1", "example.com/b:v1"})
}

func TestListThatIsOlderThanAnEventDoesNotUndoIt(t *testing.T) {
	s := newStores(t)
	a, ca := s.image("a")
	s.name("example.com/a:v1", a)
	s.name("example.com/going:v1", a)
	o := s.following()
	listed, event := make(chan struct{}), make(chan struct{})
	s.waitAfterList(func() {
		close(listed)
		<-event
	})
	// It asks for what is not known, so that names are listed.
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = o.Image(context.Background(), question(s.config("unknown")))
	}()
	<-listed
	s.unname("example.com/going:v1")
	s.name("example.com/coming:v1", a)
	eventually(t, "the events", func() bool {
		image, err := o.Image(t.Context(), question(ca))
		return err == nil && len(image.PulledAs) == 2 && image.PulledAs[1].String() == "example.com/coming:v1"
	})
	close(event)
	<-asked
	same(t, originals(t, o, question(ca)), []string{"example.com/a:v1", "example.com/coming:v1"})
}

func TestThoseWhoAskAtTheSameTimeShareALook(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	s.name("example.com/app:v1", m)
	o := s.origin()
	first, proceed := make(chan struct{}), make(chan struct{})
	s.waitAfterList(func() {
		close(first)
		<-proceed
	})
	var all sync.WaitGroup
	ask := func() {
		_, err := o.Image(t.Context(), question(c))
		if err != nil {
			t.Error(err)
		}
	}
	all.Go(ask)
	<-first
	for range 50 {
		all.Go(ask)
	}
	// They may not share the first's list, which may be older than what they ask for, but all share the next.
	eventually(t, "all have asked", func() bool { return o.Joined() == 50 })
	close(proceed)
	all.Wait()
	if listed := s.listed.Load(); listed != 2 {
		t.Errorf("names were listed %d times, want twice", listed)
	}
}

func TestImageIsNotLookedForInAListOlderThanTheQuestion(t *testing.T) {
	s := newStores(t)
	o := s.origin()
	first, proceed := make(chan struct{}), make(chan struct{})
	s.waitAfterList(func() {
		close(first)
		<-proceed
	})
	_, other := s.image("other")
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = o.Image(context.Background(), question(other))
	}()
	<-first
	m, c := s.image("app")
	s.name("example.com/app:v1", m)
	time := make(chan error, 1)
	go func() {
		_, err := o.Image(context.Background(), question(c))
		time <- err
	}()
	close(proceed)
	<-asked
	must(t, <-time)
}

func TestClosedAnswersNothing(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	s.name("example.com/app:v1", m)
	o := s.origin()
	must(t, o.Close())
	_, err := o.Image(t.Context(), question(c))
	refusal(t, err, policy.Unavailable)
	must(t, o.Close())
}

func TestDroppedBytesAreReadAgain(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	s.name("example.com/app:v1", m)
	o := s.following()
	o.DropBytes()
	before := s.calls.Load()
	same(t, originals(t, o, question(c)), []string{"example.com/app:v1"})
	if calls := s.calls.Load() - before; calls != 1 {
		t.Errorf("%d calls to containerd, want 1", calls)
	}
}

func TestBlobThatWentAwayIsNoticedWhenItIsNeeded(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	i := s.index(m)
	s.name("example.com/app:v1", i)
	s.name("example.com/app:v2", m)
	o := s.following()
	o.Confirm(question(c))
	eventually(t, "confirmation", func() bool { return confirmed(t, o, question(c)) })
	o.DropBytes()
	s.discard(i.Digest)
	image, err := o.Image(t.Context(), question(c))
	must(t, err)
	for _, m := range image.Manifests {
		_, err := m.Read(t.Context(), m.Digest)
		if gone := m.Digest == i.Digest; gone != (err != nil) {
			t.Errorf("reading %s: %v", m.Digest, err)
		}
	}
	image, err = o.Image(t.Context(), question(c))
	must(t, err)
	same(t, describe(t, image).Manifests, []string{of(m, "example.com/app")})
	if image.Confirmed {
		t.Error("an answer without the index is confirmed")
	}
	if sizes, state := o.Sizes(), o.State(); sizes[2] != 1 || state.Unreadable != 1 {
		t.Errorf("%d manifests and indexes are cached, want one; %d targets are unreadable, want one",
			sizes[2], state.Unreadable)
	}
	o.DropBytes()
	s.discard(m.Digest)
	if _, err = image.Manifests[0].Read(t.Context(), m.Digest); err == nil {
		t.Error("a manifest that is gone was read")
	}
	_, err = o.Image(t.Context(), question(c))
	refusal(t, err, policy.Unavailable, "is not in containerd's content store")
}

// TestAnImageOfTooManyBytesIsNotReadToTheEnd: each manifest is small enough, and all together are not.
func TestAnImageOfTooManyBytesIsNotReadToTheEnd(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	var children []ocispec.Descriptor
	for n := range 17 {
		large := append([]byte(fmt.Sprint(n)), bytes.Repeat([]byte("x"), 4<<20-100)...)
		children = append(children, s.blob(ocispec.MediaTypeImageManifest, large))
	}
	s.name("example.com/app:v1", s.index(append(children, m)...))
	_, err := s.following().Image(t.Context(), question(c))
	refusal(t, err, policy.Unavailable, "its manifests have more than 67108864 bytes")
}
