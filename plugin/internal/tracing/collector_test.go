package tracing_test

import (
	"log/slog"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/countersign/countersign/plugin/internal/tracing"
	"github.com/countersign/countersign/plugin/tracingtest"
)

func serveHTTP(t *testing.T, c *tracingtest.Collector) (endpoint string) {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return server.URL
}

func serveGRPC(t *testing.T, c *tracingtest.Collector) (endpoint string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// byName returns the received spans by their names.
func byName(c *tracingtest.Collector) map[string]tracingtest.Span {
	named := map[string]tracingtest.Span{}
	for _, span := range c.Spans() {
		named[span.Name] = span
	}
	return named
}

// counter counts dropped spans.
type counter struct {
	mu    sync.Mutex
	count int
}

func (c *counter) add(spans int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count += spans
}

func (c *counter) value() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func config(endpoint string, dropped *counter) tracing.Config {
	return tracing.Config{
		Endpoint: endpoint, Protocol: tracing.HTTP, SampleRatio: 1, Version: "v1.2.3", Dropped: dropped.add,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func open(t *testing.T, config tracing.Config) *tracing.Tracer {
	t.Helper()
	tracer, err := tracing.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// finish closes a tracer, which exports everything that was not dropped.
func finish(t *testing.T, tracer *tracing.Tracer) {
	t.Helper()
	if err := tracer.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
