package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/metadata"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/plugin/tracingtest"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// secret is in everything of which nothing may be in a span.
const secret = "s3cr3t"

// newTraced returns the parts of a daemon that make decisions about one image, with or without a collector. The
// function finish exports the spans.
func newTraced(t *testing.T, endpoint string) (d *daemon, finish func()) {
	t.Helper()
	config := conf.Default()
	config.Tracing.Endpoint = endpoint
	d = &daemon{
		config: config, current: newCurrent(config), metrics: newMetrics(), log: slog.New(slog.DiscardHandler),
		decider: newTestExplainer(t, signedByName("alice")).decider,
	}
	finish, err := d.startTracing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d, finish
}

func (d *daemon) testHandler() *nri.Handler {
	return &nri.Handler{
		Deadline: policy.NewDeadline(time.Hour),
		Content: func(context.Context, policy.Container) ([]digest.Digest, error) {
			return []digest.Digest{explainedConfig}, nil
		},
		Volume: func(context.Context, string, string) (policy.Volume, bool, error) {
			return policy.Volume{}, false, errors.New(secret)
		},
		Record: func(context.Context, string) (policy.Record, error) { return policy.Record{}, errors.New(secret) },
		Decide: d.decider.Decide,
		DecideVolume: func(context.Context, string, policy.Volume) policy.Verdict {
			return policy.Verdict{Reason: policy.Rejected, Detail: secret}
		},
		Audit:  func(string) bool { return false },
		Report: func(context.Context, nri.Report) {},
	}
}

func tracedContainer() nri.ContainerInfo {
	return nri.ContainerInfo{
		Namespace: "prod", Pod: "web-0", PodUID: "uid", Sandbox: "sandbox", ID: "3f2a", Name: "app",
		Reference: explainedReference, Config: explainedConfig, FoundBy: policy.FoundByConfig,
	}
}

// spansOf serves a collector while a function runs, and returns the spans by their names. No span may have the secret.
func spansOf(t *testing.T, run func(d *daemon)) map[string]tracingtest.Span {
	t.Helper()
	collected := &tracingtest.Collector{}
	server := httptest.NewServer(collected)
	defer server.Close()
	d, finish := newTraced(t, server.URL)
	run(d)
	finish()
	spans := map[string]tracingtest.Span{}
	for _, span := range collected.Spans() {
		spans[span.Name] = span
		for key, value := range span.Attributes {
			if strings.Contains(value, secret) {
				t.Errorf("%s has %s=%q", span.Name, key, value)
			}
		}
		if strings.Contains(span.Status, secret) {
			t.Errorf("%s has the status %q", span.Name, span.Status)
		}
	}
	return spans
}

func TestADecisionAboutAContainerIsATrace(t *testing.T) {
	spans := spansOf(t, func(d *daemon) {
		handler := d.testHandler()
		d.traceContainers(handler)
		if err := handler.Validate(t.Context(), tracedContainer()); err != nil {
			t.Fatal(err)
		}
	})
	root, image, step := spans["decide creation"], spans["evaluate image"], spans["evaluate requirement"]
	if root.ID == "" || image.Parent != root.ID || step.Parent != image.ID ||
		spans["compare root filesystem"].Parent != root.ID || spans["find image"].Parent != image.ID {
		t.Errorf("the trace is %v", spans)
	}
	want := map[string]string{
		"k8s.namespace.name": "prod", "k8s.pod.name": "web-0", "k8s.pod.uid": "uid", "k8s.container.name": "app",
		"container.id": "3f2a", "container.image.name": explainedReference,
		"countersign.config.digest": explainedConfig.String(), "countersign.manifest.digest": explainedManifest.String(),
		"countersign.outcome": "admit", "countersign.reason": "accepted", "countersign.mode": "enforce",
		"countersign.document": "/prod.json",
	}
	if diff := cmp.Diff(want, root.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if step.Attributes["countersign.judge"] != "test" || step.Attributes["countersign.requirement"] != "signedBy" {
		t.Errorf("the step has %v", step.Attributes)
	}
}

func TestARefusalAndAFailureAreTraced(t *testing.T) {
	spans := spansOf(t, func(d *daemon) {
		handler := d.testHandler()
		handler.Content = func(context.Context, policy.Container) ([]digest.Digest, error) {
			return nil, policy.Refuse(policy.Unavailable, "%s", secret)
		}
		d.traceContainers(handler)
		if err := handler.Validate(t.Context(), tracedContainer()); err == nil {
			t.Error("it was admitted")
		}
	})
	root := spans["decide creation"]
	if root.Attributes["countersign.outcome"] != "deny" || root.Attributes["countersign.reason"] != "unavailable" {
		t.Errorf("the span has %v", root.Attributes)
	}
	if root.Status != "unavailable" || spans["compare root filesystem"].Status != "unavailable" {
		t.Errorf("the trace is %v", spans)
	}
}

func TestImageVolumesAndRecordsAreTracedWithoutTheirErrors(t *testing.T) {
	spans := spansOf(t, func(d *daemon) {
		handler := d.testHandler()
		d.traceContainers(handler)
		ctx, end := handler.Trace(t.Context(), tracedContainer(), nri.Start)
		_, _, _ = handler.Volume(ctx, "sandbox", "/source")
		_, _ = handler.Record(ctx, "3f2a")
		handler.DecideVolume(ctx, "prod", policy.Volume{})
		end(nri.Report{Verdict: policy.Verdict{Reason: policy.Internal, Detail: secret}})
	})
	for _, name := range []string{"find image volume", "read container record", "evaluate image volume", "decide start"} {
		if spans[name].ID == "" {
			t.Errorf("there is no span %q in %v", name, spans)
		}
	}
}

func TestAPullIsATraceOfItsCaller(t *testing.T) {
	const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	spans := spansOf(t, func(d *daemon) {
		config := pull.Config{
			Decide: func(context.Context, policy.PullQuestion) policy.Verdict { return policy.Verdict{Detail: secret} },
			Registry: func(registry.CredentialFunc) fetch.Registry {
				return fetch.Registry{
					Resolve: func(context.Context, reference.Named) (digest.Digest, error) { return "", errors.New(secret) },
					Image: func(context.Context, reference.Named, digest.Digest) (*policy.Image, error) {
						return nil, errors.New(secret)
					},
				}
			},
			Fetch: func(registry.CredentialFunc) fetch.Func {
				return func(context.Context, digest.Digest, reference.Named) error { return errors.New(secret) }
			},
		}
		d.tracePulls(&config)
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", caller))
		credentials := func(string) (string, string, error) { return "user", secret, nil }
		ctx, end := config.Trace(ctx, pull.Request{
			Reference: explainedReference, Namespace: "prod", Pod: "web-0", Credentials: credentials,
		})
		named, err := policy.Normalize(explainedReference)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = config.Registry(nil).Resolve(ctx, named)
		_, _ = config.Registry(nil).Image(ctx, named, explainedManifest)
		_ = config.Fetch(nil)(ctx, explainedManifest, named)
		config.Decide(ctx, policy.PullQuestion{})
		end(audit.Pull{Outcome: policy.Deny, Verdict: policy.Verdict{Reason: policy.Unsigned, Detail: secret}})
	})
	root := spans["decide pull"]
	if root.Parent != "b7ad6b7169203331" || root.Trace != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the parent is %q of %q", root.Parent, root.Trace)
	}
	for _, name := range []string{"resolve reference", "read manifests", "fetch evidence", "evaluate image"} {
		if spans[name].Parent != root.ID {
			t.Errorf("there is no span %q in %v", name, spans)
		}
	}
	if got := spans["fetch evidence"].Attributes["server.address"]; got != "registry.example" {
		t.Errorf("evidence was fetched from %q", got)
	}
}

func TestALongEvaluationHasItsFirstSteps(t *testing.T) {
	spans := spansOf(t, func(d *daemon) {
		ctx, span := d.tracer.Start(t.Context(), "root")
		traceSteps(ctx, d.tracer, span, &policy.Explanation{Steps: make([]policy.Step, maxTracedSteps+10)})
		span.End()
	})
	if got := spans["root"].Attributes["countersign.omitted_steps"]; got != "10" {
		t.Errorf("%q steps are omitted, want 10", got)
	}
}

func TestWithoutAnEndpointNothingIsReplaced(t *testing.T) {
	d, finish := newTraced(t, "")
	defer finish()
	handler, config := d.testHandler(), pull.Config{}
	before := *handler
	d.traceContainers(handler)
	d.tracePulls(&config)
	if config.Trace != nil || config.Decide != nil || config.Registry != nil || config.Fetch != nil {
		t.Error("functions were replaced")
	}
	for i := range reflect.TypeFor[nri.Handler]().NumField() {
		now, then := reflect.ValueOf(*handler).Field(i), reflect.ValueOf(before).Field(i)
		if now.Pointer() != then.Pointer() {
			t.Errorf("%s was replaced", reflect.TypeFor[nri.Handler]().Field(i).Name)
		}
	}
}
