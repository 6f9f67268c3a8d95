package report_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"

	"github.com/countersign/countersign/plugin/agent/report"
	"github.com/countersign/countersign/plugin/internal/socket"
)

func refusal(namespace, pod string) socket.DeniedRequest {
	return socket.DeniedRequest{
		Namespace: namespace, Pod: pod, PodUID: "uid-" + pod, Container: "main", Image: "example.com/a:v1",
		Reason: "unsigned", Message: "example.com/a:v1 is not signed (unsigned)",
	}
}

// happen returns the events that refusals make, in batches that are an hour apart.
func happen(t *testing.T, batches ...[]socket.DeniedRequest) (made []string, passed int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		recorder := events.NewFakeRecorder(10000)
		ctx, stop := context.WithCancel(t.Context())
		refusals := report.NewRefusals(func(context.Context) ([]socket.DeniedRequest, error) {
			if len(batches) == 0 {
				stop()
				return nil, errors.New("no daemon listens")
			}
			next := batches[0]
			batches = batches[1:]
			time.Sleep(time.Hour)
			return next, nil
		}, recorder, func(socket.DeniedRequest) { passed++ }, slog.New(slog.DiscardHandler))
		if err := refusals.Start(ctx); err != nil {
			t.Error(err)
		}
		close(recorder.Events)
		for event := range recorder.Events {
			made = append(made, event)
		}
	})
	return made, passed
}

func TestARefusalIsOneEvent(t *testing.T) {
	would := refusal("team", "other")
	would.WouldDeny = true
	again := refusal("team", "pod")
	made, passed := happen(t, []socket.DeniedRequest{again, again, would})
	want := []string{
		"Warning ImageRefused example.com/a:v1 is not signed (unsigned)",
		"Warning ImageWouldBeRefused example.com/a:v1 is not signed (unsigned)",
	}
	if diff := cmp.Diff(want, made); diff != "" || passed != 3 {
		t.Errorf("%d refusals are passed on, events (-want +got):\n%s", passed, diff)
	}
	if made, _ = happen(t, []socket.DeniedRequest{again}, []socket.DeniedRequest{again}); len(made) != 2 {
		t.Errorf("an hour later there are %d events, want one more", len(made))
	}
}

func TestATenantDoesNotUseUpTheEventsOfAnother(t *testing.T) {
	var batch []socket.DeniedRequest
	for i := range 1000 {
		batch = append(batch, refusal("noisy", fmt.Sprint("pod-", i)))
	}
	made, _ := happen(t, append(batch, refusal("quiet", "pod")))
	if len(made) != 51 {
		t.Errorf("there are %d events, want 50 of one namespace and one of the other", len(made))
	}
}

func TestAPolicyReport(t *testing.T) {
	would := refusal("team", "other")
	would.WouldDeny = true
	made := report.PolicyReport("node-1", "team", []socket.DeniedRequest{refusal("team", "pod"), would})
	if made.GetNamespace() != "team" || made.GetName() != "countersign-node-1" {
		t.Errorf("the report is %s/%s", made.GetNamespace(), made.GetName())
	}
	summary, _, _ := unstructured.NestedMap(made.Object, "summary")
	want := map[string]any{"fail": int64(1), "warn": int64(1), "pass": int64(0), "error": int64(0), "skip": int64(0)}
	if diff := cmp.Diff(want, summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	results, _, _ := unstructured.NestedSlice(made.Object, "results")
	if len(results) != 2 || results[0].(map[string]any)["result"] != "fail" {
		t.Errorf("results are %v", results)
	}
}
