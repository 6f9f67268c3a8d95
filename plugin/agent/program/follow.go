package program

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/agent/watch"
)

const (
	// settle is how long the agent waits for more changes after one, so that it makes one pass for a burst of them.
	settle = 50 * time.Millisecond
	// again is how often it makes a pass without a change: for the system policy, files that somebody has removed,
	// objects that are held, and documents that the daemon has refused.
	again = 5 * time.Second
)

// follower writes documents whenever something changes.
type follower struct {
	source     *watch.Source
	reconciler *reconcile.Reconciler
	// report is called after each pass.
	report func(reconcile.Outcome)
	// event makes an event of the node.
	event func(reason, message string)
	log   *slog.Logger
	ready atomic.Bool
	// said are the problems that were logged last.
	said map[reconcile.Problem]bool
}

// Start runs until the context ends. Its name is that of an interface.
func (f *follower) Start(ctx context.Context) error {
	if err := f.source.Start(ctx); err != nil {
		return ignoreCanceled(err)
	}
	for {
		f.pass(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		case <-f.source.Changed():
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(settle):
			}
		}
	}
}

// NeedLeaderElection reports that every agent runs it. Its name is that of an interface.
func (f *follower) NeedLeaderElection() bool { return false }

func (f *follower) pass(ctx context.Context) {
	objects, err := f.source.Objects(ctx)
	var outcome reconcile.Outcome
	if err == nil {
		outcome, err = f.reconciler.Reconcile(ctx, objects)
	}
	if err != nil && ctx.Err() == nil {
		f.log.ErrorContext(ctx, "some documents could not be written", "error", err)
	}
	f.logProblems(ctx, outcome.Problems)
	f.ready.Store(err == nil)
	if outcome.Current != nil {
		f.report(outcome)
	}
}

// logProblems logs what is new.
func (f *follower) logProblems(ctx context.Context, problems []reconcile.Problem) {
	now := map[reconcile.Problem]bool{}
	for _, problem := range problems {
		now[problem] = true
		if !f.said[problem] {
			f.log.WarnContext(ctx, "a document differs from what the policies require",
				"namespace", problem.Namespace, "reason", problem.Reason, "message", problem.Message)
			f.event(problem.Reason, problem.Message)
		}
	}
	f.said = now
}

var errNotReady = errors.New("some documents could not be written; the log says why")

// check answers /readyz.
func (f *follower) check(*http.Request) error {
	if f.ready.Load() {
		return nil
	}
	return errNotReady
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
