package nri_test

import (
	"context"
	"testing"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// traceKey marks the context of a trace.
type traceKey struct{}

func TestEachDecisionIsTraced(t *testing.T) {
	handler, _ := newHandler()
	inner := handler.Content
	traced := false
	handler.Content = func(ctx context.Context, c policy.Container) ([]digestOf, error) {
		traced = ctx.Value(traceKey{}) != nil
		return inner(ctx, c)
	}
	var begun []nri.Stage
	var ended []policy.Reason
	handler.Trace = func(
		ctx context.Context, info nri.ContainerInfo, stage nri.Stage,
	) (context.Context, func(nri.Report)) {
		begun = append(begun, stage)
		if info.Pod != sample().Pod {
			t.Errorf("the pod is %q", info.Pod)
		}
		//nolint:forbidigo // A tracer passes its span on like this.
		return context.WithValue(ctx, traceKey{}, stage), func(report nri.Report) {
			ended = append(ended, report.Verdict.Reason)
		}
	}
	if err := handler.Validate(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	handler.Review(t.Context(), []nri.ContainerInfo{sample()})
	if len(begun) != 2 || begun[0] != nri.Create || begun[1] != nri.Running {
		t.Errorf("traces began for %v", begun)
	}
	if len(ended) != 2 || ended[0] != policy.Accepted || ended[1] != policy.Accepted {
		t.Errorf("traces ended with %v", ended)
	}
	if !traced {
		t.Error("the context of the trace did not reach the parts of the decision")
	}
}

// TestWithoutTracesNothingMoreIsAllocated: a trace that does nothing costs one report, and none costs nothing.
func TestWithoutTracesNothingMoreIsAllocated(t *testing.T) {
	handler, _ := newHandler()
	handler.Report = func(context.Context, nri.Report) {}
	info, ctx := sample(), t.Context()
	without := testing.AllocsPerRun(1000, func() { handler.InTime(ctx, info) })
	with := testing.AllocsPerRun(1000, func() { handler.Evaluate(ctx, info) })
	if with > without {
		t.Errorf("a decision allocates %v times, and %v times without the check for traces", with, without)
	}
}
