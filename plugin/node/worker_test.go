package node_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/node"
)

// job is what the chart does.
var job = node.Job{
	Commands: []node.Command{
		{Arguments: []string{"install"}, Failure: "not enforced"}, {Arguments: []string{"doctor"}, Failure: "a fault"},
	},
	Node: "worker", Retry: time.Millisecond,
}

// status returns the error of a program that ended with a status.
func status(t *testing.T, code string) error {
	t.Helper()
	return exec.CommandContext(t.Context(), "/bin/sh", "-c", "exit "+code).Run()
}

func probe(worker http.Handler) (int, string) {
	answer := httptest.NewRecorder()
	worker.ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/readyz", nil))
	return answer.Code, strings.TrimSpace(answer.Body.String())
}

func TestTheTaintIsRemovedOnceBothCommandsSucceed(t *testing.T) {
	refused, broken := status(t, "1"), status(t, "2")
	// What happens, in this order; the probe before each step answers with the failure before it.
	steps := []struct {
		call string
		err  error
		seen string
	}{
		{"install", refused, "in progress"},
		{"install", broken, "not enforced"},
		{"install", nil, "countersign install on the host: exit status 2"},
		{"doctor", refused, "countersign install on the host: exit status 2"},
		{"install", nil, "a fault"},
		{"doctor", nil, "a fault"},
		{"taint", errors.New("no API server"), "a fault"},
		{"install", nil, "no API server"},
		{"doctor", nil, "no API server"},
		{"taint", nil, "no API server"},
	}
	var calls []string
	var worker *node.Worker
	next := func(call string) error {
		step := steps[len(calls)]
		calls = append(calls, call)
		if code, text := probe(worker); step.call != call || code != http.StatusServiceUnavailable || text != step.seen {
			t.Errorf("step %d is %s with %d %q, want %s with 503 %q", len(calls), call, code, text, step.call, step.seen)
		}
		return step.err
	}
	worker = &node.Worker{
		Run: func(_ context.Context, arguments ...string) error { return next(arguments[0]) },
		RemoveTaint: func(_ context.Context, name string) (bool, error) {
			if name != "worker" {
				t.Errorf("the taint of %s is removed", name)
			}
			return true, next("taint")
		},
		Log: slog.New(slog.DiscardHandler),
	}
	if err := worker.Do(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if len(calls) != len(steps) {
		t.Errorf("the calls were %v", calls)
	}
	if code, text := probe(worker); code != http.StatusOK || text != "ok" {
		t.Errorf("after the job, the probe answers %d %q", code, text)
	}
}

func TestAWorkerThatIsStoppedRemovesNoTaint(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls []string
	worker := &node.Worker{
		Run: func(_ context.Context, arguments ...string) error {
			calls = append(calls, arguments[0])
			cancel()
			return errors.New("signal: terminated")
		},
		RemoveTaint: func(context.Context, string) (bool, error) {
			t.Error("the taint was removed")
			return false, nil
		},
		Log: slog.New(slog.DiscardHandler),
	}
	if err := worker.Do(ctx, job); !errors.Is(err, context.Canceled) {
		t.Errorf("Do returned %v", err)
	}
	if diff := cmp.Diff([]string{"install"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestThePodThatContinuesInstallsOnce: the first one was stopped before its job was done.
func TestThePodThatContinuesInstallsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var calls []string
		stopping := true
		newWorker := func() *node.Worker {
			return &node.Worker{
				Run: func(_ context.Context, arguments ...string) error {
					calls = append(calls, arguments[0])
					if stopping {
						time.AfterFunc(job.Retry/2, stop) // While it waits to try again.
						return errors.New("signal: killed")
					}
					return nil
				},
				RemoveTaint: func(context.Context, string) (bool, error) { return false, nil },
				Log:         slog.New(slog.DiscardHandler),
			}
		}
		first, second := newWorker(), newWorker()
		if err := first.Do(ctx, job); !errors.Is(err, context.Canceled) {
			t.Errorf("Do returned %v", err)
		}
		if code, text := probe(first); code != http.StatusServiceUnavailable || !strings.Contains(text, "signal: killed") {
			t.Errorf("the probe of the stopped pod answers %d %q", code, text)
		}
		stopping = false
		if err := second.Do(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"install", "install", "doctor"}, calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}
