package policy_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy"
)

const within = 250 * time.Millisecond

func admit(context.Context) policy.Verdict {
	return policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
}

// hang returns a decision that ignores its context and ends when the channel is closed.
func hang(until <-chan struct{}) func(context.Context) policy.Verdict {
	return func(ctx context.Context) policy.Verdict {
		<-until
		return admit(ctx)
	}
}

func TestADecisionInTimeIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := policy.NewDeadline(within)
		start := time.Now()
		answer := deadline.Answer(t.Context(), func(ctx context.Context) policy.Verdict {
			time.Sleep(within - 1) // in the bubble's own time
			return admit(ctx)
		})
		wantReason(t, answer, policy.Accepted)
		if took := time.Since(start); took != within-1 {
			t.Errorf("answered after %s, want %s", took, within-1)
		}
	})
}

func TestADecisionThatHangsIsAnsweredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		start := time.Now()
		wantReason(t, policy.NewDeadline(within).Answer(t.Context(), hang(release)), policy.Pending)
		if took := time.Since(start); took != within {
			t.Errorf("answered after %s, want %s", took, within)
		}
		close(release)
	})
}

func TestTheResultOfALateDecisionIsCachedForTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, signedBy("alice"))
		n.signed(map[string]string{tagged: "alice"})
		image := n.image
		n.image = func(ctx context.Context, q policy.Question) (*policy.Image, error) {
			time.Sleep(time.Second) // in the bubble's own time
			if ctx.Err() != nil {
				t.Errorf("the decision's context ended with the answer: %v", ctx.Err())
			}
			return image(ctx, q)
		}
		decider := n.decider(t)
		deadline := policy.NewDeadline(within)
		ctx, cancel := context.WithCancel(t.Context())
		decide := func(ctx context.Context) policy.Verdict { return decider.Decide(ctx, ask(tagged)) }
		wantReason(t, deadline.Answer(ctx, decide), policy.Pending)
		cancel() // the runtime has its answer and hangs up
		time.Sleep(time.Second)
		verdict := deadline.Answer(t.Context(), decide)
		wantReason(t, verdict, policy.Accepted)
		if !verdict.Cached || n.images.Load() != 1 {
			t.Errorf("cached=%t after %d images, want the result of the first attempt", verdict.Cached, n.images.Load())
		}
	})
}

func TestALateDecisionIsCancelled(t *testing.T) {
	cases := map[string]struct{ within, want time.Duration }{
		"after ten seconds":                 {within, 10 * time.Second},
		"after twice a time that is longer": {time.Minute, 2 * time.Minute},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ended := make(chan time.Duration, 1)
				policy.NewDeadline(c.within).Answer(t.Context(), func(ctx context.Context) policy.Verdict {
					<-ctx.Done()
					ended <- time.Since(start)
					return policy.Verdict{}
				})
				if got := <-ended; got != c.want {
					t.Errorf("the decision's context ended after %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestAtMost64DecisionsAreInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := policy.NewDeadline(within)
		release := make(chan struct{})
		for range 64 {
			wantReason(t, deadline.Answer(t.Context(), hang(release)), policy.Pending)
		}
		start := time.Now()
		answer := deadline.Answer(t.Context(), func(context.Context) policy.Verdict {
			t.Error("a 65th decision was begun")
			return policy.Verdict{}
		})
		wantReason(t, answer, policy.Pending)
		if took := time.Since(start); took != 0 || !strings.Contains(answer.Detail, "64 earlier decisions") {
			t.Errorf("answered after %s with %q, want an immediate answer with the cause", took, answer.Detail)
		}
		close(release)
		synctest.Wait()
		wantReason(t, deadline.Answer(t.Context(), admit), policy.Accepted)
	})
}

func TestAnAnswerEndsWithTheRuntimesContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		release := make(chan struct{})
		start := time.Now()
		wantReason(t, policy.NewDeadline(within).Answer(ctx, hang(release)), policy.Pending)
		if took := time.Since(start); took != time.Millisecond {
			t.Errorf("answered after %s, want 1ms", took)
		}
		close(release)
	})
}

func TestADecisionThatPanicsDenies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := policy.NewDeadline(within)
		answer := deadline.Answer(t.Context(), func(context.Context) policy.Verdict { panic("here") })
		wantReason(t, answer, policy.Internal)
		if answer.Detail != "panic in a decision: here" {
			t.Errorf("detail = %q, want the panic's value", answer.Detail)
		}
		for range 65 { // more than maxInFlight: each must be released
			answer = deadline.Answer(t.Context(), func(context.Context) policy.Verdict { panic("here") })
			synctest.Wait()
		}
		wantReason(t, answer, policy.Internal)
	})
}
