package policy_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy"
)

// large is a node whose image has more manifests than a callback examines. It counts those that were examined in the
// background.
type large struct {
	*node
	rests   atomic.Int64
	running sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
}

// newLarge returns such a node. What the question's own reference leads to is partial.
func newLarge(t *testing.T, whole *policy.Image, partial ...policy.Manifest) *large {
	t.Helper()
	l := &large{node: newNode(t, signedBy("alice"))}
	l.ctx, l.stop = context.WithCancel(t.Context())
	image := &policy.Image{Config: whole.Config, Manifests: partial, PulledAs: whole.PulledAs, Confirmed: true}
	image.Rest = func(context.Context) (*policy.Image, error) {
		l.rests.Add(1)
		return whole, nil
	}
	l.runs(image)
	return l
}

func (l *large) decider(t *testing.T) *policy.Decider {
	t.Helper()
	sources := l.sources()
	sources.Start = func(f func(context.Context)) bool {
		l.running.Go(func() { f(l.ctx) })
		return true
	}
	return newDecider(t, sources)
}

// settle waits, in the bubble's own time, until the background has decided.
func settle() { time.Sleep(500 * time.Millisecond) }

// end ends the background, and waits for it.
func (l *large) end() {
	l.stop()
	l.running.Wait()
}

func TestWhatTheOwnReferenceLeadsToIsEnoughToAdmit(t *testing.T) {
	image := imageOf(t, tagged)
	l := newLarge(t, image, image.Manifests...)
	defer l.end()
	l.signed(map[string]string{tagged: "alice"})
	wantReason(t, l.decider(t).Decide(t.Context(), ask(tagged)), policy.Accepted)
	if l.rests.Load() != 0 {
		t.Error("the rest was examined")
	}
}

func TestWhatIsNotEnoughIsDecidedInTheBackground(t *testing.T) {
	cases := map[string]struct {
		signed map[string]string
		first  policy.Reason
		want   policy.Reason
	}{
		"another manifest is signed": {map[string]string{repository + ":v2": "alice"}, policy.Pending, policy.Accepted},
		"none is signed":             {nil, policy.Pending, policy.Unsigned},
		"another has signed":         {map[string]string{tagged: "bob"}, policy.Pending, policy.Rejected},
	}
	for name, c := range cases {
		for _, partial := range []int{0, 1} {
			t.Run(fmt.Sprint(name, ", already known: ", partial), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					image := imageOf(t, tagged, repository+":v2")
					l := newLarge(t, image, image.Manifests[:partial]...)
					defer l.end()
					l.signed(c.signed)
					decider := l.decider(t)
					wantReason(t, decider.Decide(t.Context(), ask(tagged)), c.first)
					settle()
					wantReason(t, decider.Decide(t.Context(), ask(tagged)), c.want)
				})
			})
		}
	}
}

func TestADecisionInTheBackgroundIsRepeatedUntilNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLarge(t, imageOf(t, tagged))
		defer l.end()
		l.signed(map[string]string{tagged: "?"})
		decider := l.decider(t)
		for range 10 {
			wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Pending)
			time.Sleep(time.Minute)
		}
		asked := l.rests.Load()
		if asked < 20 {
			t.Errorf("it was repeated %d times in ten minutes, want at least 20", asked)
		}
		time.Sleep(time.Hour)
		l.running.Wait()
		if more := l.rests.Load() - asked; more > 20 {
			t.Errorf("it was repeated %d times after the last question", more)
		}
		// What is found then is the answer to the next question.
		l.signed(map[string]string{tagged: "alice"})
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Pending)
		settle()
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
	})
}

func TestADecisionInTheBackgroundIsByTheDocumentInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLarge(t, imageOf(t, tagged))
		defer l.end()
		decider := l.decider(t)
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Pending)
		settle()
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Unsigned)
		l.store(document("/system.json", rejectAll()))
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Pending)
		settle()
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Rejected)
	})
}

// TestOneNamespaceDoesNotTakeThePlacesOfAnother: a tenant can ask as many questions as he likes.
func TestOneNamespaceDoesNotTakeThePlacesOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLarge(t, imageOf(t, tagged))
		defer l.end()
		l.signed(map[string]string{tagged: "?"})
		decider := l.decider(t)
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Pending)
		for i := range 1000 {
			q := ask(fmt.Sprintf("%s:%d", repository, i))
			q.Namespace = "crowd"
			wantReason(t, decider.Decide(t.Context(), q), policy.Pending)
		}
		l.signed(map[string]string{tagged: "alice"})
		time.Sleep(time.Minute)
		before := l.images.Load()
		wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
		if l.images.Load() != before {
			t.Error("the answer was not found in the background")
		}
	})
}

func TestAfterTheEndNothingIsDecidedInTheBackground(t *testing.T) {
	sources := newNode(t, signedBy("alice")).sources()
	sources.Start = func(func(context.Context)) bool { return false }
	sources.Image = func(context.Context, policy.Question) (*policy.Image, error) {
		return &policy.Image{Config: digestOf("config"), Rest: func(context.Context) (*policy.Image, error) {
			t.Error("the rest was examined")
			return nil, nil
		}}, nil
	}
	wantReason(t, newDecider(t, sources).Decide(t.Context(), ask(tagged)), policy.Pending)
}

func TestWhatIsExaminedInTheBackgroundLeavesTheProcessorToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for range 10 {
			(*policy.Pacer)(nil).Pause(t.Context())
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("no pacer took %s", took)
		}
		pacer := &policy.Pacer{}
		pacer.Pause(t.Context())
		if time.Since(start) == 0 {
			t.Error("the first step is not preceded by a pause")
		}
		start = time.Now()
		pacer.Pause(t.Context())
		if took := time.Since(start); took != 0 {
			t.Errorf("a pause after no work took %s", took)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Second)
		start = time.Now()
		pacer.Pause(ended)
		if took := time.Since(start); took != 0 {
			t.Errorf("a pause after the end took %s", took)
		}
	})
}
