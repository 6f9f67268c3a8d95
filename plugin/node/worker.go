package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"sync/atomic"
	"time"
)

// Job is what is done on one node.
type Job struct {
	// Commands run on the host, one after the other, each until it succeeds.
	Commands []Command
	// Node is the name of the node whose taint is removed afterwards.
	Node string
	// Retry is how long to wait after a failure.
	Retry time.Duration
}

// Command is a command of countersign.
type Command struct {
	Arguments []string
	// Failure says what the exit status 1 of the command means.
	Failure string
}

// Worker does a job on a node, and reports whether it is done.
type Worker struct {
	// Run runs a command of countersign on the host.
	Run func(ctx context.Context, arguments ...string) error
	// RemoveTaint removes the taint from a node, and reports whether it had it.
	RemoveTaint func(ctx context.Context, node string) (bool, error)
	Log         *slog.Logger

	state atomic.Pointer[string]
}

// Do tries until the job is done, or the context ends.
func (w *Worker) Do(ctx context.Context, job Job) error {
	for {
		err := w.try(ctx, job)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		cause := err.Error()
		w.state.Store(&cause)
		w.Log.WarnContext(ctx, "the node is not ready, trying again", "error", err, "after", job.Retry)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(job.Retry):
		}
	}
}

func (w *Worker) try(ctx context.Context, job Job) error {
	for _, command := range job.Commands {
		err := w.Run(ctx, command.Arguments...)
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 1 {
			return errors.New(command.Failure)
		}
		if err != nil {
			return fmt.Errorf("countersign %s on the host: %w", command.Arguments[0], err)
		}
	}
	removed, err := w.RemoveTaint(ctx, job.Node)
	if err != nil {
		return err
	}
	done := ""
	w.state.Store(&done)
	w.Log.InfoContext(ctx, "the node is ready", "node", job.Node, "taint_removed", removed)
	return nil
}

// ServeHTTP answers 200 once the job is done, and before that 503 with the last failure.
func (w *Worker) ServeHTTP(response http.ResponseWriter, _ *http.Request) {
	state := w.state.Load()
	switch {
	case state == nil:
		http.Error(response, "in progress", http.StatusServiceUnavailable)
	case *state != "":
		http.Error(response, *state, http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(response, "ok")
	}
}
