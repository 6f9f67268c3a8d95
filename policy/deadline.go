package policy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Deadline has decisions answered in time, whatever hangs behind them: a decision that takes too long is answered
// with [Pending] and goes on in the background, so that what it finds is there for the next try.
type Deadline struct {
	// Panicked is told of panics in what [Deadline.Answer] is given. Set it before the first answer; it may be nil.
	Panicked PanicFunc

	answerWithin atomic.Int64
	late         chan struct{}
}

// maxLate bounds how many decisions may be under way. Where a disk or the runtime hangs for good, every retry would
// leave another behind.
const maxLate = 64

// NewDeadline returns a Deadline that answers within that time.
func NewDeadline(answerWithin time.Duration) *Deadline {
	d := &Deadline{late: make(chan struct{}, maxLate)}
	d.Set(answerWithin)
	return d
}

// Set changes the time for answers to come.
func (d *Deadline) Set(answerWithin time.Duration) { d.answerWithin.Store(int64(answerWithin)) }

// Answer runs decide and returns what it says, or a verdict that denies when it does not say anything in time. The
// context that decide is given outlives the answer, and the caller's context: it ends some seconds later.
func (d *Deadline) Answer(ctx context.Context, decide func(context.Context) Verdict) Verdict {
	within := time.Duration(d.answerWithin.Load())
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case d.late <- struct{}{}:
	default:
		return Verdict{Reason: Pending, Detail: fmt.Sprintf("%d earlier decisions have not come to an end yet", maxLate)}
	}
	answer := make(chan Verdict, 1)
	go func() {
		defer func() { <-d.late }()
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

// panicked is the verdict of a decision that ended in a panic. It is called while that unwinds.
func panicked(told PanicFunc, cause any) Verdict {
	failure := told.report("a decision", cause)
	return Verdict{Reason: Internal, Detail: fmt.Sprintf("panic: %v\n%s", cause, failure.Stack)}
}
