// Package monitoring tests conf/monitoring with Prometheus: the alerts with promtool, and every query of the dashboard
// and of the alerts on the metrics of a real daemon.
package monitoring
