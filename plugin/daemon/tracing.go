package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/plugin/internal/tracing"
	"github.com/countersign/countersign/policy"
)

// tracingDrain is how long a stopping daemon waits for the collector.
const tracingDrain = 2 * time.Second

// startTracing creates the tracer, if an endpoint is configured. The function stop exports the last spans.
func (d *daemon) startTracing(ctx context.Context) (stop func(), err error) {
	config := d.config.Tracing
	if config.Endpoint == "" {
		return func() {}, nil
	}
	d.tracer, err = tracing.New(ctx, tracing.Config{
		Endpoint: config.Endpoint, Protocol: tracing.Protocol(config.Protocol.String()),
		SampleRatio: config.SampleRatio, Version: d.version,
		Dropped: d.metrics.SpansDropped, Panicked: d.panicked, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	return func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), tracingDrain)
		defer cancel()
		if err := d.tracer.Close(closing); err != nil {
			d.log.WarnContext(ctx, "cannot export the last traces", "error", fmt.Sprint(err))
		}
	}, nil
}

// Attributes of spans. Those that OpenTelemetry defines have its names.
const (
	attrNamespace   = "k8s.namespace.name"
	attrPod         = "k8s.pod.name"
	attrPodUID      = "k8s.pod.uid"
	attrContainer   = "k8s.container.name"
	attrContainerID = "container.id"
	attrImage       = "container.image.name"
	attrManifest    = "countersign.manifest.digest"
	attrConfig      = "countersign.config.digest"
	attrOutcome     = "countersign.outcome"
	attrReason      = "countersign.reason"
	attrMode        = "countersign.mode"
	attrDocument    = "countersign.document"
	attrScope       = "countersign.scope"
	attrRequirement = "countersign.requirement"
	attrJudge       = "countersign.judge"
	attrCached      = "countersign.cached"
	attrRegistry    = "server.address"
	attrOmitted     = "countersign.omitted_steps"
)

// describeVerdict sets what a verdict says, without its detail.
func describeVerdict(span tracing.Span, verdict policy.Verdict) {
	span.Set(attrReason, string(verdict.Reason))
	span.Set(attrManifest, verdict.Digest.String())
	span.Set(attrDocument, verdict.Document)
	span.Set(attrScope, verdict.Scope)
	failures := []policy.Reason{policy.Internal, policy.Unavailable, policy.InvalidPolicy}
	if slices.Contains(failures, verdict.Reason) {
		span.Fail(string(verdict.Reason))
	}
}

// failBy marks a span as failed with the reason of an error, whose text is not for traces.
func failBy(span tracing.Span, err error) {
	if err != nil {
		span.Fail(string(policy.Denial(err).Reason))
	}
}

// maxTracedSteps limits the spans of one evaluation: an image can have thousands of signatures.
const maxTracedSteps = 64

// traceSteps adds how a decision was made to its span, which the context has.
func traceSteps(ctx context.Context, tracer *tracing.Tracer, span tracing.Span, explained *policy.Explanation) {
	describeVerdict(span, explained.Verdict)
	span.SetBool(attrCached, explained.Cached)
	if !explained.ImageAt.IsZero() {
		tracer.AddPast(ctx, tracing.Past{Name: "find image", End: explained.ImageAt, Took: explained.ImageTook},
			func(span tracing.Span) { failBy(span, explained.ImageErr) })
	}
	for _, step := range explained.Steps[:min(len(explained.Steps), maxTracedSteps)] {
		name := "deny"
		if step.Requirement != "" {
			name = "evaluate requirement"
		}
		tracer.AddPast(ctx, tracing.Past{Name: name, End: step.At, Took: step.Took}, func(span tracing.Span) {
			span.Set(attrImage, step.Reference)
			span.Set(attrScope, step.Scope)
			span.Set(attrRequirement, string(step.Requirement))
			span.Set(attrManifest, step.Manifest.String())
			span.Set(attrJudge, step.Judge)
			span.SetBool(attrCached, step.Cached)
			if !step.Finding.Met {
				span.Set(attrReason, string(step.Finding.Reason))
			}
		})
	}
	if omitted := len(explained.Steps) - maxTracedSteps; omitted > 0 {
		span.SetInt(attrOmitted, omitted)
	}
}
