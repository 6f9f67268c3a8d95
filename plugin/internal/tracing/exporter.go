package tracing

import (
	"context"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
)

// Protocol is a protocol of OTLP, as in OTEL_EXPORTER_OTLP_PROTOCOL.
type Protocol string

// The protocols.
const (
	HTTP Protocol = "http/protobuf"
	GRPC Protocol = "grpc"
)

// tracesPath is the path of a collector's HTTP endpoint if the URL has none.
const tracesPath = "/v1/traces"

// newExporter returns an exporter. The connection is encrypted if the scheme of the endpoint is https.
func newExporter(ctx context.Context, config Config) (*otlptrace.Exporter, error) {
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil {
		return nil, err
	}
	switch config.Protocol {
	case GRPC:
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint.String()))
	case HTTP:
		if endpoint.Path == "" || endpoint.Path == "/" {
			endpoint.Path = tracesPath
		}
		return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint.String()))
	default:
		return nil, fmt.Errorf("protocol %q is unknown", config.Protocol)
	}
}
