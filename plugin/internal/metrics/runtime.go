package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign/countersign/policy"
)

// Runtime is the runtime that the plugin is registered with, and how the images of its containers are found.
type Runtime struct {
	// Name is the name and the version, such as "containerd 2.3.7".
	Name string `json:"runtime"`
	// FoundBy is "config digest", or "layers", which is weaker.
	FoundBy policy.FoundBy `json:"found_by"`
	// Drift is how many running containers, and image volumes of theirs, the policy refuses where it is enforced, by
	// their last evaluation.
	Drift int `json:"drift"`
}

// lines returns lines of the text report.
func (r Runtime) lines() (lines string) {
	if r.Drift > 0 {
		lines = fmt.Sprintf("drift: %d running containers that the policy refuses, see countersign status\n", r.Drift)
	}
	if r.FoundBy != "" {
		lines += fmt.Sprintf("images found by: %s (%s)\n", r.FoundBy, r.Name)
	}
	return lines
}

// SetRuntime records the runtime at each registration. Its Drift is ignored.
func (m *Metrics) SetRuntime(runtime Runtime) {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	runtime.Drift = m.health.runtime.Drift
	m.health.runtime = runtime
}

// Drifted counts a running container that was found in drift.
func (m *Metrics) Drifted() { m.drift.Inc() }

// SetDrift records how many running containers, and image volumes of theirs, are in drift.
func (m *Metrics) SetDrift(count int) {
	m.inDrift.Set(float64(count))
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.runtime.Drift = count
}

// Stopped counts a container that was stopped because the policy refuses it.
func (m *Metrics) Stopped() { m.stopped.Inc() }

func foundByDescription() *prometheus.Desc {
	return prometheus.NewDesc("countersign_images_found_by",
		"1 for how the images of containers are found: by the config digest that the runtime reports, or by their layers.",
		[]string{"found_by"}, nil)
}
