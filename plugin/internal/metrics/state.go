package metrics

import (
	"fmt"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// state is what is true of the daemon now. The gauges and /healthz read the same, so they cannot disagree.
type state struct {
	mu sync.Mutex // guards all below

	registered   bool
	registration string
	required     bool
	requirement  string
	verified     bool
	verification string
	sandbox      bool
	sandboxImage string
	documents    int
	failures     int
}

// Registered says that the plugin is registered with NRI, or is not; detail says why, or with what.
func (m *Metrics) Registered(registered bool, detail string) {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.registered, m.state.registration = registered, detail
}

// Required says that containerd's configuration, as merged from all its files, is known to require this plugin, so
// that nothing starts without it; detail says why it is not, or not known.
func (m *Metrics) Required(required bool, detail string) {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.required, m.state.requirement = required, detail
}

// Verified says that containerd is known to ask about pulls; detail says why it does not, or why that is not known.
func (m *Metrics) Verified(verified bool, detail string) {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.verified, m.state.verification = verified, detail
}

// Sandbox says that a pull of the image that every pod starts with is known not to be refused; detail names the image,
// and says why the pull is refused, or why that is not known.
func (m *Metrics) Sandbox(admitted bool, detail string) {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.sandbox, m.state.sandboxImage = admitted, detail
}

// PolicyLoaded says how many policy documents there are, the system's among them, and how many of these cannot be
// loaded as they stand on disk, whether or not an earlier version of them is still in force.
func (m *Metrics) PolicyLoaded(documents, failures int) {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.documents, m.state.failures = documents, failures
}

func (s *state) gauges() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return value()
		})
	}
	return []prometheus.Collector{
		gauge("countersign_nri_registered",
			"1 while the plugin is registered with NRI, and so asked about each container.",
			func() float64 { return oneIf(s.registered) }),
		gauge("countersign_required",
			"1 if containerd is known to refuse containers while the plugin is not there.",
			func() float64 { return oneIf(s.required) }),
		gauge("countersign_pulls_verified",
			"1 if containerd is known to ask about each image before it downloads it.",
			func() float64 { return oneIf(s.verified) }),
		gauge("countersign_sandbox_admitted",
			"1 if a pull of the image that every pod starts with is known not to be refused.",
			func() float64 { return oneIf(s.sandbox) }),
		gauge("countersign_policy_documents",
			"Policy documents: the system's and those of namespaces.",
			func() float64 { return float64(s.documents) }),
		gauge("countersign_policy_load_failures",
			"Policy documents that cannot be loaded as they stand on disk.",
			func() float64 { return float64(s.failures) }),
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// report is the body of /healthz, a line for each check, and whether the daemon is asked about containers. That
// alone makes it healthy: a restart mends neither a policy nor containerd's configuration.
func (s *state) report() (body string, healthy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := []string{
		line("registered with NRI", s.registered, s.registration),
		line("required by containerd", s.required, s.requirement),
		line("asked about pulls", s.verified, s.verification),
		line("sandbox image admitted", s.sandbox, s.sandboxImage),
		line("policy", s.failures == 0 && s.documents > 0,
			fmt.Sprintf("%d documents, %d of them cannot be loaded", s.documents, s.failures)),
	}
	return strings.Join(lines, "\n") + "\n", s.registered
}

// line is kept to one, whatever an error may say.
func line(check string, holds bool, detail string) string {
	answer := "no"
	if holds {
		answer = "yes"
	}
	text := check + ": " + answer
	if detail != "" {
		text += " (" + detail + ")"
	}
	return strings.Join(strings.Fields(text), " ")
}
