// Package tracing sends OpenTelemetry spans to a collector. It is the only importer of OpenTelemetry.
//
// Nothing waits for the collector: finished spans enter a queue of limited length, and a goroutine exports them in
// batches. Spans that do not fit, or that the collector does not accept in time, are dropped and counted.
//
// Spans have names, digests and durations. Whoever may read traces is not always whoever may read the audit log, so no
// span has the detail of a verdict, a path of a key, or credentials.
package tracing
