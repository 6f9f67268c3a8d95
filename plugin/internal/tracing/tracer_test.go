package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"github.com/countersign/countersign/plugin/internal/tracing"
	"github.com/countersign/countersign/plugin/tracingtest"
)

// The span of a caller, as in the metadata of its request.
const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
	sampled      = "00-" + callersTrace + "-" + callersSpan + "-01"
	notSampled   = "00-" + callersTrace + "-" + callersSpan + "-00"
)

// record makes a trace of three spans.
func record(ctx context.Context, tracer *tracing.Tracer) {
	ctx, root := tracer.Start(ctx, "root")
	root.Set("k8s.pod.name", "web-0")
	root.Set("empty", "")
	root.SetInt("steps", 3)
	below, child := tracer.Child(ctx, "child")
	child.SetBool("cached", true)
	child.Fail("unavailable")
	tracer.AddPast(below, tracing.Past{Name: "past", End: time.Unix(100, 0), Took: time.Second}, func(s tracing.Span) {
		s.Set("judge", "bundle")
	})
	child.End()
	root.End()
}

func TestSpansReachACollector(t *testing.T) {
	for name, test := range map[string]struct {
		protocol tracing.Protocol
		serve    func(*testing.T, *tracingtest.Collector) string
	}{"over HTTP": {tracing.HTTP, serveHTTP}, "over gRPC": {tracing.GRPC, serveGRPC}} {
		t.Run(name, func(t *testing.T) {
			collected, dropped := &tracingtest.Collector{}, &counter{}
			config := config(test.serve(t, collected), dropped)
			config.Protocol = test.protocol
			tracer := open(t, config)
			record(t.Context(), tracer)
			finish(t, tracer)
			spans := byName(collected)
			root, child, past := spans["root"], spans["child"], spans["past"]
			if root.Parent != "" || child.Parent != root.ID || past.Parent != child.ID || child.Trace != root.Trace {
				t.Errorf("the parents are wrong: %v", spans)
			}
			want := []map[string]string{
				{"k8s.pod.name": "web-0", "steps": "3"}, {"cached": "true"}, {"judge": "bundle"},
			}
			got := []map[string]string{root.Attributes, child.Attributes, past.Attributes}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if child.Status != "unavailable" || root.Service != "countersign" {
				t.Errorf("received %v", spans)
			}
			if past.End.Unix() != 100 || past.End.Sub(past.Start) != time.Second {
				t.Errorf("it lasted from %s to %s", past.Start, past.End)
			}
			if dropped.value() != 0 {
				t.Errorf("%d spans were dropped", dropped.value())
			}
		})
	}
}

func TestASpanContinuesTheTraceOfItsCaller(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"of gRPC": metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", sampled)),
		"of NRI":  ttrpc.WithMetadata(t.Context(), ttrpc.MD{"traceparent": {sampled}}),
	} {
		t.Run(name, func(t *testing.T) {
			collected := &tracingtest.Collector{}
			config := config(serveHTTP(t, collected), &counter{})
			// The caller has decided.
			config.SampleRatio = 0
			tracer := open(t, config)
			record(ctx, tracer)
			finish(t, tracer)
			root := byName(collected)["root"]
			if root.Trace != callersTrace || root.Parent != callersSpan {
				t.Errorf("received %v", root)
			}
		})
	}
}

func TestWhatIsNotSampledIsNotExported(t *testing.T) {
	for name, test := range map[string]struct {
		ratio  float64
		parent string
	}{
		"of a caller that is not sampled": {1, notSampled},
		"by the ratio":                    {0, ""},
		"of a caller that is invalid":     {0, "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			collected := &tracingtest.Collector{}
			config := config(serveHTTP(t, collected), &counter{})
			config.SampleRatio = test.ratio
			tracer := open(t, config)
			record(metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", test.parent)), tracer)
			finish(t, tracer)
			if spans := byName(collected); len(spans) > 0 {
				t.Errorf("received %v", spans)
			}
		})
	}
}

func TestThereIsNoChildOutsideATrace(t *testing.T) {
	collected := &tracingtest.Collector{}
	tracer := open(t, config(serveHTTP(t, collected), &counter{}))
	ctx, span := tracer.Child(t.Context(), "child")
	if span.Sampled() || ctx != t.Context() {
		t.Error("a span was started")
	}
	span.Set("key", "value")
	span.SetInt("key", 1)
	span.SetBool("key", true)
	span.Fail("why")
	span.End()
	finish(t, tracer)
	if spans := byName(collected); len(spans) > 0 {
		t.Errorf("received %v", spans)
	}
}

func TestNothingWaitsForACollectorThatHangs(t *testing.T) {
	released, asked := make(chan struct{}), make(chan struct{}, 100)
	collected, dropped := &tracingtest.Collector{Before: func(context.Context) error {
		asked <- struct{}{}
		<-released
		return nil
	}}, &counter{}
	tracer := open(t, config(serveHTTP(t, collected), dropped))
	record(t.Context(), tracer)
	<-asked
	// The queue has 4,096 places, and the batch in progress at most 512.
	const made = 6000
	for range made {
		_, span := tracer.Start(t.Context(), "one of many")
		span.End()
	}
	if dropped.value() < made-4096-512 {
		t.Errorf("%d of %d spans were dropped", dropped.value(), made)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := tracer.Close(ended); err != nil {
		t.Error(err)
	}
	if dropped.value() < made-512 {
		t.Errorf("%d of %d spans are counted as dropped at the end", dropped.value(), made)
	}
	close(released)
}

func TestACollectorThatFailsIsLoggedOnce(t *testing.T) {
	refused := make(chan struct{}, 100)
	collected, dropped, log := &tracingtest.Collector{Before: func(context.Context) error {
		refused <- struct{}{}
		return errors.New("no")
	}}, &counter{}, &bytes.Buffer{}
	config := config(serveHTTP(t, collected), dropped)
	config.Logger = slog.New(slog.NewTextHandler(log, nil))
	tracer := open(t, config)
	record(t.Context(), tracer)
	<-refused
	record(t.Context(), tracer)
	finish(t, tracer)
	if got := strings.Count(log.String(), "cannot export traces"); got != 1 {
		t.Errorf("it was logged %d times:\n%s", got, log)
	}
	if dropped.value() != 6 {
		t.Errorf("%d spans are counted as dropped, want 6", dropped.value())
	}
}

func TestACollectorThatIsDownDelaysNothing(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	dropped := &counter{}
	tracer := open(t, config("http://"+address, dropped))
	record(t.Context(), tracer)
	finish(t, tracer)
	if dropped.value() != 3 {
		t.Errorf("%d spans are counted as dropped, want 3", dropped.value())
	}
}

func TestAnEndpointThatCannotBeUsedIsAnError(t *testing.T) {
	for name, config := range map[string]tracing.Config{
		"an unknown protocol": {Endpoint: "http://127.0.0.1:4318", Protocol: "http/json"},
		"an invalid URL":      {Endpoint: "http://127.0.0.1:a", Protocol: tracing.HTTP},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tracing.New(t.Context(), config); err == nil {
				t.Error("there is no error")
			}
		})
	}
}
