package nri_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// TestPendingContainersInAuditModeAreReevaluated: the kubelet does not retry them, and by then they may have been
// removed, with its root filesystem.
func TestPendingContainersInAuditModeAreReevaluated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		asked, compared := 0, 0
		handler.Decide = func(context.Context, policy.Question) policy.Verdict {
			if asked++; asked < 3 {
				return policy.Verdict{Reason: policy.Pending}
			}
			return policy.Verdict{Reason: policy.Unsigned}
		}
		handler.Content = func(ctx context.Context, container policy.Container) ([]digest.Digest, error) {
			if compared++; compared > 1 {
				return nil, policy.Refuse(policy.UnknownOrigin, "there is no such snapshot")
			}
			return content(ctx, container)
		}
		handler.Audit = func(string) bool { return true }
		wantToTheEnd(t, handler, reported, "[creation pending running pending running unsigned]")
	})
}

// TestARootfsThatWasNotComparedInTimeIsComparedLater: audit mode would else report an image as accepted whose root
// filesystem that was not verified.
func TestARootfsThatWasNotComparedInTimeIsComparedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		handler.Deadline = policy.NewDeadline(100 * time.Millisecond)
		compared := 0
		handler.Content = func(ctx context.Context, container policy.Container) ([]digest.Digest, error) {
			if compared++; compared == 1 {
				time.Sleep(time.Second)
				return content(ctx, container)
			}
			return nil, policy.Refuse(policy.UnknownOrigin, "it is another image's")
		}
		handler.Audit = func(string) bool { return true }
		wantToTheEnd(t, handler, reported, "[creation pending running unknown-origin]")
	})
}

// wantToTheEnd has one container validated, and compares what is reported until there is nothing more to find out.
func wantToTheEnd(t *testing.T, handler *nri.Handler, reported *reports, want string) {
	t.Helper()
	request := &api.ValidateContainerAdjustmentRequest{Pod: samplePod(), Container: sampleContainer()}
	if err := handler.ValidateToTheEnd(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, report := range reported.list() {
		got = append(got, fmt.Sprint(report.Stage, " ", report.Verdict.Reason))
	}
	if fmt.Sprint(got) != want {
		t.Errorf("reported %v, want %v", got, want)
	}
}

// TestWaitingContainersAreLimited: otherwise a tenant that creates containers without end would fill the memory.
func TestWaitingContainersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		handler.Decide = deny(policy.Pending)
		handler.Audit = func(string) bool { return true }
		requests := make([]*api.ValidateContainerAdjustmentRequest, 300)
		for i := range requests {
			requests[i] = &api.ValidateContainerAdjustmentRequest{Pod: samplePod(), Container: sampleContainer()}
		}
		if err := handler.ValidateToTheEnd(t.Context(), requests...); err != nil {
			t.Fatal(err)
		}
		again := 0
		for _, report := range reported.list() {
			if report.Stage == nri.Running {
				again++
			}
		}
		// Each is looked at eight times.
		if again != 8*256 {
			t.Errorf("%d reports of containers that run, want those of 256", again)
		}
	})
}

func TestNothingIsAskedAfterTheEnd(t *testing.T) {
	passed, err := nri.AskAfterTheEnd(t.Context())
	if passed || err == nil {
		t.Errorf("a question passed after the end: %v", err)
	}
}

// TestWhatIsRefusedUndecidedIsNotJudgedAgain: the kubelet asks again.
func TestWhatIsRefusedUndecidedIsNotJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		handler.Decide = deny(policy.Pending)
		request := &api.ValidateContainerAdjustmentRequest{Pod: samplePod(), Container: sampleContainer()}
		if err := handler.ValidateToTheEnd(t.Context(), request); err == nil {
			t.Error("admitted")
		}
		if reports := reported.list(); len(reports) != 1 {
			t.Errorf("%d reports", len(reports))
		}
	})
}
