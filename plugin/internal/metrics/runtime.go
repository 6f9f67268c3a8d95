package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign/countersign/policy"
)

// Runtime is the runtime that the plugin is registered with, and how the images of its containers are found.
type Runtime struct {
	// Name is the name and the version, such as "containerd 2.3.7".
	Name string `json:"runtime"`
	// FoundBy is "config digest", or "layers", which is weaker.
	FoundBy policy.FoundBy `json:"found_by"`
}

// SetRuntime records the runtime.
func (m *Metrics) SetRuntime(runtime Runtime) {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.runtime = runtime
}

func foundByDescription() *prometheus.Desc {
	return prometheus.NewDesc("countersign_images_found_by",
		"1 for how the images of containers are found: by the config digest that the runtime reports, or by their layers.",
		[]string{"found_by"}, nil)
}
