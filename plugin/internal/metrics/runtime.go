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
	// Drift is how many running containers, and image volumes of theirs, the policy refuses where it is enforced, of
	// those that were found since the plugin has last registered.
	Drift int `json:"drift"`
}

// lines returns lines of the text report.
func (r Runtime) lines() (lines string) {
	if r.Drift > 0 {
		lines = fmt.Sprintf("drift: %d running containers that the policy refuses were found at the last registration "+
			"or since, see the audit log\n", r.Drift)
	}
	if r.FoundBy != "" {
		lines += fmt.Sprintf("images found by: %s (%s)\n", r.FoundBy, r.Name)
	}
	return lines
}

// SetRuntime records the runtime at each registration. All running containers are evaluated after it.
func (m *Metrics) SetRuntime(runtime Runtime) {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.runtime = runtime
}

// drifted counts a running container that the policy refuses.
func (h *health) drifted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runtime.Drift++
}

func foundByDescription() *prometheus.Desc {
	return prometheus.NewDesc("countersign_images_found_by",
		"1 for how the images of containers are found: by the config digest that the runtime reports, or by their layers.",
		[]string{"found_by"}, nil)
}
