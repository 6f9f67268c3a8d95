package daemon

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// traceContainers replaces the functions of a handler by those that add spans, if decisions are traced.
func (d *daemon) traceContainers(handler *nri.Handler) {
	if d.tracer == nil {
		return
	}
	handler.Trace = d.traceContainer
	content, volume, record, decideVolume := handler.Content, handler.Volume, handler.Record, handler.DecideVolume
	handler.Content = func(ctx context.Context, c policy.Container) ([]digest.Digest, error) {
		ctx, span := d.tracer.Child(ctx, "compare root filesystem")
		defer span.End()
		configs, err := content(ctx, c)
		failBy(span, err)
		return configs, err
	}
	handler.Volume = func(ctx context.Context, sandbox, source string) (policy.Volume, bool, error) {
		ctx, span := d.tracer.Child(ctx, "find image volume")
		defer span.End()
		found, isVolume, err := volume(ctx, sandbox, source)
		failBy(span, err)
		return found, isVolume, err
	}
	handler.Record = func(ctx context.Context, id string) (policy.Record, error) {
		ctx, span := d.tracer.Child(ctx, "read container record")
		defer span.End()
		found, err := record(ctx, id)
		failBy(span, err)
		return found, err
	}
	handler.Decide = d.decideTraced
	handler.DecideVolume = func(ctx context.Context, namespace string, v policy.Volume) policy.Verdict {
		ctx, span := d.tracer.Child(ctx, "evaluate image volume")
		defer span.End()
		verdict := decideVolume(ctx, namespace, v)
		describeVerdict(span, verdict)
		return verdict
	}
}

// traceContainer begins the span of a decision about a container.
func (d *daemon) traceContainer(
	ctx context.Context, info nri.ContainerInfo, stage nri.Stage,
) (context.Context, func(nri.Report)) {
	ctx, span := d.tracer.Start(ctx, "decide "+string(stage))
	if span.Sampled() {
		span.Set(attrNamespace, info.Namespace)
		span.Set(attrPod, info.Pod)
		span.Set(attrPodUID, info.PodUID)
		span.Set(attrContainer, info.Name)
		span.Set(attrContainerID, info.ID)
		span.Set(attrImage, info.Reference)
	}
	return ctx, func(report nri.Report) {
		defer span.End()
		if !span.Sampled() {
			return
		}
		record := recordOf(report)
		span.Set(attrConfig, report.Config.String())
		span.Set(attrOutcome, record.Outcome().String())
		span.Set(attrMode, string(record.Mode))
		describeVerdict(span, report.Verdict)
	}
}

// decideTraced decides about an image, with a span for each step.
func (d *daemon) decideTraced(ctx context.Context, q policy.Question) policy.Verdict {
	ctx, span := d.tracer.Child(ctx, "evaluate image")
	if !span.Sampled() {
		return d.decider.Decide(ctx, q)
	}
	defer span.End()
	span.Set(attrConfig, q.Config.String())
	explained := d.decider.DecideWithSteps(ctx, q)
	traceSteps(ctx, d.tracer, span, &explained)
	return explained.Verdict
}
