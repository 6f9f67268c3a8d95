package metrics

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// buildInfo is always 1; its labels identify the build, so that metrics of two versions can be compared.
func buildInfo(build *debug.BuildInfo) prometheus.Collector {
	labels := prometheus.Labels{"version": "unknown", "revision": "unknown", "go_version": "unknown"}
	if build != nil {
		labels["version"] = build.Main.Version
		labels["go_version"] = build.GoVersion
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				labels["revision"] = setting.Value
			}
		}
	}
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "countersign_build_info",
		Help:        "1, with the program's version and commit, and the version of Go.",
		ConstLabels: labels,
	})
	gauge.Set(1)
	return gauge
}
