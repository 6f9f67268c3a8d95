package conf

import "net/url"

// tracing requires an endpoint to which traces can be sent. The scheme says whether the connection is encrypted, so it
// must be there.
func (b *binder) tracing(t Tracing) {
	const endpoint, ratio = "tracing.endpoint", "tracing.sample_ratio"
	if !(t.SampleRatio >= 0 && t.SampleRatio <= 1) {
		b.problem(ratio, "%s is %v; it must be between 0 and 1", ratio, t.SampleRatio)
	}
	if t.Endpoint == "" {
		return
	}
	parsed, err := url.Parse(t.Endpoint)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		b.problem(endpoint, `%s is %q; it must be a URL with the scheme http or https, like "http://127.0.0.1:4318"`,
			endpoint, t.Endpoint)
		return
	}
	if parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		b.problem(endpoint, "%s has credentials, a query or a fragment; it must have none: set headers in "+
			"OTEL_EXPORTER_OTLP_HEADERS", endpoint)
	}
	if t.Protocol == TracingGRPC && parsed.Path != "" && parsed.Path != "/" {
		b.problem(endpoint, "%s is %q; with the protocol grpc it must have no path", endpoint, t.Endpoint)
	}
}
