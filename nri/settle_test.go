package nri_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/containerd/nri/pkg/api"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// TestWhatAuditModeLetsInUndecidedIsJudgedAgain: nobody asks about it a second time, and by then it may be gone, with
// its root filesystem.
func TestWhatAuditModeLetsInUndecidedIsJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, told := newHandler()
		asked, compared := 0, 0
		handler.Decide = func(context.Context, policy.Question) policy.Verdict {
			if asked++; asked < 3 {
				return policy.Verdict{Reason: policy.Pending}
			}
			return policy.Verdict{Reason: policy.Unsigned}
		}
		handler.Rootfs = func(context.Context, string, digest.Digest) error {
			if compared++; compared > 1 {
				return policy.Refuse(policy.UnknownOrigin, "there is no such snapshot")
			}
			return nil
		}
		handler.Audit = func(string) bool { return true }
		request := &api.ValidateContainerAdjustmentRequest{Pod: samplePod(), Container: sampleContainer()}
		if err := handler.ValidateToTheEnd(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, report := range told.list() {
			got = append(got, fmt.Sprint(report.Stage, " ", report.Verdict.Reason))
		}
		if want := "[creation pending running pending running unsigned]"; fmt.Sprint(got) != want {
			t.Errorf("reported %v, want %v", got, want)
		}
	})
}

// TestWhatIsRefusedUndecidedIsNotJudgedAgain: the kubelet asks again.
func TestWhatIsRefusedUndecidedIsNotJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, told := newHandler()
		handler.Decide = deny(policy.Pending)
		request := &api.ValidateContainerAdjustmentRequest{Pod: samplePod(), Container: sampleContainer()}
		if err := handler.ValidateToTheEnd(t.Context(), request); err == nil {
			t.Error("admitted")
		}
		if reports := told.list(); len(reports) != 1 {
			t.Errorf("%d reports", len(reports))
		}
	})
}
