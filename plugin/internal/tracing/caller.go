package tracing

import (
	"context"

	"github.com/containerd/ttrpc"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"
)

// withCaller returns the context with the span of the caller, which a request names in its metadata as W3C Trace
// Context: of gRPC, for calls of the kubelet, or of ttrpc, for those of NRI. containerd 2.2, 2.3 and 2.4 send it with
// NRI calls if their own tracing is configured (internal/nri/config.go, otelttrpc.UnaryClientInterceptor).
func withCaller(ctx context.Context) context.Context {
	carrier := propagation.MapCarrier{}
	for _, key := range (propagation.TraceContext{}).Fields() {
		if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
			carrier[key] = values[0]
		} else if value, ok := ttrpc.GetMetadataValue(ctx, key); ok {
			carrier[key] = value
		}
	}
	if len(carrier) == 0 {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}
