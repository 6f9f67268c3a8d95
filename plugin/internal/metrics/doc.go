// Package metrics counts what the daemon decides and shows how it stands: /metrics for Prometheus, /healthz for
// whatever restarts or replaces the daemon. Nothing in it is global: each [Metrics] has a registry of its own.
//
// No label takes a value that the author of a pod may choose, so that the number of series is fixed when the daemon
// starts, and each of them starts at zero: a first refusal is an increase that an alert can see.
package metrics
