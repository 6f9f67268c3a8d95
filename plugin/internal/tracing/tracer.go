package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/countersign/countersign/policy"
)

// Config configures a [Tracer]. All fields are required.
type Config struct {
	// Endpoint is the URL of a collector, and Protocol the protocol of OTLP that it accepts there.
	Endpoint string
	Protocol Protocol
	// SampleRatio is the fraction of the traces that begin here which are sampled. A trace that containerd or the kubelet
	// began is sampled if they sample it.
	SampleRatio float64
	// Version is the version of the program.
	Version string
	// Dropped is called with the number of spans that are not exported.
	Dropped func(spans int)
	// Panicked is called for a panic during an export, whose spans are dropped.
	Panicked policy.PanicFunc
	Logger   *slog.Logger
}

// Limits of a span. A decision that tries more evidence has only the first steps as spans.
const (
	maxAttributes      = 32
	maxAttributeLength = 1024
)

// Tracer starts spans. Create one with [New].
type Tracer struct {
	queue  *queue
	tracer trace.Tracer
}

// New returns a tracer. It connects to the collector when it has spans to export.
func New(ctx context.Context, config Config) (*Tracer, error) {
	exporter, err := newExporter(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("preparing to export traces to %s: %w", config.Endpoint, err)
	}
	attributes := []attribute.KeyValue{
		attribute.String("service.name", "countersign"), attribute.String("service.version", config.Version),
	}
	if host, err := os.Hostname(); err == nil {
		attributes = append(attributes, attribute.String("host.name", host))
	}
	limits := sdk.NewSpanLimits()
	limits.AttributeCountLimit, limits.AttributeValueLengthLimit = maxAttributes, maxAttributeLength
	queue := newQueue(exporter, config)
	provider := sdk.NewTracerProvider(
		sdk.WithResource(resource.NewSchemaless(attributes...)),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(config.SampleRatio))),
		sdk.WithRawSpanLimits(limits),
		sdk.WithSpanProcessor(queue),
	)
	return &Tracer{queue: queue, tracer: provider.Tracer("github.com/countersign/countersign")}, nil
}

// Close exports the spans in the queue until the context ends. Call it once. The provider would do nothing after the
// context has ended.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.queue.Shutdown(ctx); err != nil && !errors.Is(err, context.Cause(ctx)) {
		return fmt.Errorf("exporting the last traces: %w", err)
	}
	return nil
}

// Start starts the span of a request. Its parent is the span of the caller, if the metadata of the request has one. The
// context that it returns has the span, for [Tracer.Child].
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, Span) {
	ctx, span := t.tracer.Start(withCaller(ctx), name, trace.WithSpanKind(trace.SpanKindServer))
	return ctx, Span{span}
}

// Child starts a span below the one in the context. Without one that is sampled, it starts none.
func (t *Tracer) Child(ctx context.Context, name string) (context.Context, Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, Span{span}
}

// Past is a span that has ended.
type Past struct {
	Name string
	End  time.Time
	Took time.Duration
}

// AddPast adds a span below the one in the context. The function describe may be nil.
func (t *Tracer) AddPast(ctx context.Context, past Past, describe func(Span)) {
	_, span := t.tracer.Start(ctx, past.Name, trace.WithTimestamp(past.End.Add(-past.Took)))
	if describe != nil {
		describe(Span{span})
	}
	span.End(trace.WithTimestamp(past.End))
}
