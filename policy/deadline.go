package policy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Deadline answers decisions in time, whatever blocks them: a decision that takes too long is answered with [Pending]
// and continues in the background, so that the next attempt finds its result in the cache.
type Deadline struct {
	// Panicked is called for panics in the function passed to [Deadline.Answer]. Set it before the first answer; it may be
	// nil.
	Panicked PanicFunc

	answerWithin atomic.Int64
	inFlight     chan struct{}
}

// maxInFlight limits the number of concurrent decisions. While a disk or the runtime blocks, every retry adds another.
const maxInFlight = 64

// NewDeadline returns a Deadline that answers within that time.
func NewDeadline(answerWithin time.Duration) *Deadline {
	d := &Deadline{inFlight: make(chan struct{}, maxInFlight)}
	d.Set(answerWithin)
	return d
}

// Set changes the time for later answers.
func (d *Deadline) Set(answerWithin time.Duration) { d.answerWithin.Store(int64(answerWithin)) }

// Answer runs decide and returns its verdict, or a verdict that denies if there is none in time. The context of decide
// outlives the answer and the caller's context: it ends some seconds later.
func (d *Deadline) Answer(ctx context.Context, decide func(context.Context) Verdict) Verdict {
	within := time.Duration(d.answerWithin.Load())
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case d.inFlight <- struct{}{}:
	default:
		return Verdict{Reason: Pending, Detail: fmt.Sprintf("%d earlier decisions are still in progress", maxInFlight)}
	}
	answer := make(chan Verdict, 1)
	go func() {
		defer func() { <-d.inFlight }()
		background, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(10*time.Second, 2*within))
		defer cancel()
		answer <- d.guarded(background, decide)
	}()
	select {
	case verdict := <-answer:
		return verdict
	case <-timer.C:
		return Verdict{Reason: Pending, Detail: fmt.Sprintf("no decision within %s", within)}
	case <-ctx.Done():
		return Verdict{Reason: Pending, Detail: fmt.Sprintf("the runtime stopped waiting: %v", ctx.Err())}
	}
}

func (d *Deadline) guarded(ctx context.Context, decide func(context.Context) Verdict) (verdict Verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict = panicked(d.Panicked, cause)
		}
	}()
	return decide(ctx)
}

// panicked returns the verdict of a decision that panicked. It is called while the panic unwinds.
func panicked(report PanicFunc, cause any) Verdict {
	failure := report.report("a decision", cause)
	return Verdict{Reason: Internal, Detail: failure.Error()}
}
