package tracingtest

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span that a collector has received.
type Span struct {
	Name string
	// Service is the name of the program that has sent it.
	Service string
	// Trace, ID and Parent are hexadecimal. A root has no Parent.
	Trace, ID, Parent string
	Attributes        map[string]string
	// Status is the text of a failure.
	Status     string
	Start, End time.Time
}

// Collector collects spans. Its zero value is ready for use.
type Collector struct {
	collector.UnimplementedTraceServiceServer

	// Before is called before each batch is accepted, if it is set. An error refuses the batch.
	Before func(context.Context) error

	mu    sync.Mutex
	spans []Span
}

// Spans returns the spans that were received so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Export implements OTLP over gRPC.
func (c *Collector) Export(
	ctx context.Context, request *collector.ExportTraceServiceRequest,
) (*collector.ExportTraceServiceResponse, error) {
	if c.Before != nil {
		if err := c.Before(ctx); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		service := attributes(resource.GetResource().GetAttributes())["service.name"]
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, Span{
					Name: span.GetName(), Service: service, Attributes: attributes(span.GetAttributes()),
					Status: span.GetStatus().GetMessage(),
					Trace:  hex.EncodeToString(span.GetTraceId()), ID: hex.EncodeToString(span.GetSpanId()),
					Parent: hex.EncodeToString(span.GetParentSpanId()),
					Start:  time.Unix(0, int64(span.GetStartTimeUnixNano())),
					End:    time.Unix(0, int64(span.GetEndTimeUnixNano())),
				})
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP implements OTLP over HTTP.
func (c *Collector) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/v1/traces" {
		http.NotFound(w, request)
		return
	}
	sent, err := read(request)
	if err == nil {
		_, err = c.Export(request.Context(), sent)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func read(request *http.Request) (*collector.ExportTraceServiceRequest, error) {
	body := io.Reader(request.Body)
	if request.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unpacked
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	sent := &collector.ExportTraceServiceRequest{}
	return sent, proto.Unmarshal(raw, sent)
}

func attributes(list []*common.KeyValue) map[string]string {
	values := make(map[string]string, len(list))
	for _, attribute := range list {
		values[attribute.GetKey()] = valueText(attribute.GetValue())
	}
	return values
}

// valueText returns the value of an attribute as text.
func valueText(value *common.AnyValue) string {
	switch known := value.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return known.StringValue
	case *common.AnyValue_BoolValue:
		return strconv.FormatBool(known.BoolValue)
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(known.IntValue, 10)
	default:
		return value.String()
	}
}
