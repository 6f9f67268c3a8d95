// Package metrics counts the daemon's decisions and reports its health: /metrics for Prometheus, and /healthz and
// /readyz for supervisors and operators. It has no global state: each [Metrics] has its own registry.
//
// No label has a value that the author of a pod can choose. So the number of series is fixed when the daemon starts,
// and each starts at zero: an alert detects the first refusal as an increase.
package metrics
