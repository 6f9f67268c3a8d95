package daemon

import (
	"context"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// tracePulls replaces the functions of a gate by those that add spans, if decisions are traced.
func (d *daemon) tracePulls(config *pull.Config) {
	if d.tracer == nil {
		return
	}
	config.Trace = d.tracePull
	decide, from, fetchWith := config.Decide, config.Registry, config.Fetch
	config.Decide = func(ctx context.Context, q policy.PullQuestion) policy.Verdict {
		ctx, span := d.tracer.Child(ctx, "evaluate image")
		defer span.End()
		verdict := decide(ctx, q)
		describeVerdict(span, verdict)
		return verdict
	}
	config.Registry = func(credentials registry.CredentialFunc) fetch.Registry {
		return d.traceRegistry(from(credentials))
	}
	config.Fetch = func(credentials registry.CredentialFunc) fetch.Func {
		next := fetchWith(credentials)
		return func(ctx context.Context, manifest digest.Digest, ref reference.Named) error {
			ctx, span := d.tracer.Child(ctx, "fetch evidence")
			defer span.End()
			span.Set(attrManifest, manifest.String())
			span.Set(attrRegistry, reference.Domain(ref))
			err := next(ctx, manifest, ref)
			failBy(span, err)
			return err
		}
	}
}

// traceRegistry adds a span to each reading of an image from its registry.
func (d *daemon) traceRegistry(from fetch.Registry) fetch.Registry {
	return fetch.Registry{
		Resolve: func(ctx context.Context, ref reference.Named) (digest.Digest, error) {
			ctx, span := d.tracer.Child(ctx, "resolve reference")
			defer span.End()
			span.Set(attrRegistry, reference.Domain(ref))
			found, err := from.Resolve(ctx, ref)
			failBy(span, err)
			return found, err
		},
		Image: func(ctx context.Context, ref reference.Named, target digest.Digest) (*policy.Image, error) {
			ctx, span := d.tracer.Child(ctx, "read manifests")
			defer span.End()
			span.Set(attrRegistry, reference.Domain(ref))
			image, err := from.Image(ctx, ref, target)
			failBy(span, err)
			return image, err
		},
	}
}

// tracePull begins the span of a decision about a pull.
func (d *daemon) tracePull(ctx context.Context, request pull.Request) (context.Context, func(audit.Pull)) {
	ctx, span := d.tracer.Start(ctx, "decide pull")
	span.Set(attrNamespace, request.Namespace)
	span.Set(attrPod, request.Pod)
	span.Set(attrImage, request.Reference)
	return ctx, func(record audit.Pull) {
		defer span.End()
		span.Set(attrOutcome, record.Outcome.String())
		span.Set(attrMode, string(record.Mode))
		describeVerdict(span, record.Verdict)
	}
}
