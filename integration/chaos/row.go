//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The bounds, and how long a row may take until it has its tries. A recovery is compared with the slowest answer in the
// row without a fault: on a machine that is busy with other things, that may be seconds.
const (
	maxRecovery = 2 * time.Second
	maxStanding = 10 * time.Second
	maxRow      = 75 * time.Second
)

// workers is how many containers are requested at the same time, while a fault lasts and between two. NRI's calls are
// serialised, so more of them would only wait longer.
const workers = 12

// row is what happened during one fault.
type row struct {
	fault fault
	// want is how many tries the daemon has to answer.
	want, times int
	// lasted is how long the row took.
	lasted time.Duration

	mu              sync.Mutex // Guards the following fields.
	answered        int
	refusedSigned   int
	finallyRefused  int
	wrongAdmissions int
	standing        int
	slowest         time.Duration
	recovery        time.Duration
	examples        []example
}

func newRow(f fault, tries int) *row {
	return &row{fault: f, want: tries / max(f.part, 1)}
}

// repeat has the fault happen until the daemon has answered enough tries.
func (r *row) repeat(ctx context.Context, l *lab) error {
	begun := time.Now()
	for first := true; first || r.count() < r.want && time.Since(begun) < maxRow; first = false {
		if err := r.once(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (r *row) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered
}

// once has the fault happen once while containers are requested, and then waits until all that should be admitted are.
func (r *row) once(ctx context.Context, l *lab) error {
	r.times++
	begun := time.Now()
	defer func() { r.lasted += time.Since(begun) }()
	l.observe = r.add
	var fresh *trial
	if r.fault.isFresh {
		var err error
		if fresh, err = l.fresh(ctx); err != nil {
			return err
		}
	}
	working, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for worker := range workers {
		all.Go(func() { r.work(working, l, worker) })
	}
	if fresh != nil {
		all.Go(func() { r.awaitFresh(ctx, l, fresh) })
	}
	if err := r.fault.happen(ctx, l); err != nil {
		return err
	}
	ended := time.Now()
	for _, of := range l.trials {
		if of.signed {
			all.Go(func() { r.awaitAdmission(ctx, l, of, ended) })
		}
	}
	// The others go on until the fault has no more effect.
	stop()
	all.Wait()
	return ctx.Err()
}

// work requests one container after the other until the context ends.
func (r *row) work(ctx context.Context, l *lab, worker int) {
	for at := worker; ctx.Err() == nil; at++ {
		got := l.requests.try(ctx, l.trials[at%len(l.trials)])
		r.add(got)
		if got.answer == none && !pause(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// awaitAdmission requests a container that must be admitted until it is, and records how long that takes after the end
// of the fault.
func (r *row) awaitAdmission(ctx context.Context, l *lab, of *trial, ended time.Time) {
	for ctx.Err() == nil {
		got := l.requests.try(ctx, of)
		r.add(got)
		after := got.began.Add(got.took).Sub(ended)
		if got.answer == admitted {
			r.recovered(after)
			return
		}
		if after > maxStanding {
			r.recovered(after)
			r.stands(got)
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// awaitFresh requests a container of a new image until it is admitted. Its signatures have to be fetched, so it may be
// refused at first.
func (r *row) awaitFresh(ctx context.Context, l *lab, of *trial) {
	begun := time.Now()
	for ctx.Err() == nil {
		got := l.requests.try(ctx, of)
		if got.answer == admitted {
			r.add(got)
			return
		}
		if time.Since(begun) > maxStanding {
			r.stands(got)
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// add adds the result of a try.
func (r *row) add(got *result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got.answer == none {
		return
	}
	r.answered++
	r.slowest = max(r.slowest, got.took)
	switch {
	case got.isWrong() && got.answer == admitted:
		r.wrongAdmissions++
		r.example(got, "was admitted")
	case got.isWrong():
		r.refusedSigned++
		if !got.isPending() {
			r.finallyRefused++
		}
		r.example(got, "was refused")
	}
}

func (r *row) recovered(after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recovery = max(r.recovery, after)
}

func (r *row) stands(got *result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.standing++
	r.example(got, fmt.Sprintf("is still not admitted: %v", got.err))
}

// example is something that went wrong.
type example struct{ name, what, container, detail string }

// maxExamples is how many of them a row has.
const maxExamples = 5

// example remembers what went wrong with a try. The caller holds mu.
func (r *row) example(got *result, what string) {
	if len(r.examples) < maxExamples {
		r.examples = append(r.examples, example{name: got.name, what: what, container: got.container})
	}
}

// explain adds to the examples what the audit log has about them.
func (r *row) explain(l *lab) error {
	if len(r.examples) == 0 {
		return nil
	}
	decisions, err := l.daemon.Decisions()
	for i := range r.examples {
		for _, decision := range decisions {
			if decision.Container == r.examples[i].container {
				r.examples[i].detail = decision.Reason + ": " + decision.Detail
			}
		}
	}
	return err
}

// bounds are what the bounds of a row depend on.
type bounds struct {
	// isTimed reports whether the bounds of time count, which they do not for a test.
	isTimed bool
	// quiet is how long the slowest answer took in the row without a fault.
	quiet time.Duration
}

// broken returns which bounds are not held.
func (r *row) broken(limits bounds) (broken []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrongAdmissions > 0 {
		broken = append(broken, fmt.Sprintf("%d wrong admissions", r.wrongAdmissions))
	}
	if r.standing > 0 {
		broken = append(broken, fmt.Sprintf("%d refusals stand after %s", r.standing, maxStanding))
	}
	if r.fault.isHarmless && r.finallyRefused > 0 {
		broken = append(broken, fmt.Sprintf("%d signed images were refused, and were not just pending", r.finallyRefused))
	}
	if limits.isTimed && r.recovery > maxRecovery+limits.quiet {
		broken = append(broken, fmt.Sprintf("recovered after %s, more than %s after %s without a fault",
			r.recovery, maxRecovery, limits.quiet))
	}
	if r.answered < r.want {
		broken = append(broken, fmt.Sprintf("only %d tries were answered, want %d", r.answered, r.want))
	}
	return broken
}
