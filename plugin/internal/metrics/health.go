package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign/countersign/policy"
)

// Check is one question about the daemon's health, by its name in JSON and in the label "check".
type Check string

// The checks, in the order in which they are reported.
const (
	Registered Check = "registered"
	Required   Check = "required"
	Pulls      Check = "pulls"
	Sandbox    Check = "sandbox_image"
	Policies   Check = "policies"
	Keys       Check = "keys"
	Registries Check = "registries"
	Evidence   Check = "evidence"
	AuditFile  Check = "audit_file"
)

// question is the text of a check in the text report.
type question struct {
	check Check
	text  string
}

func questions() []question {
	return []question{
		{Registered, "registered with NRI"},
		{Required, "required by containerd"},
		{Pulls, "image verifier active"},
		{Sandbox, "sandbox image admitted"},
		{Policies, "policy documents valid"},
		{Keys, "key files usable"},
		{Registries, "registry configuration valid"},
		{Evidence, "evidence store writable"},
		{AuditFile, "audit log file writable"},
	}
}

// Status is the answer to a [Check]. Its zero value is Unknown.
type Status uint8

// The three answers. If the answer could not be determined, it is Unknown and not No.
const (
	Unknown Status = iota
	No
	Yes
)

// String returns the answer as in reports and in the label "status".
func (s Status) String() string {
	switch s {
	case Yes:
		return "yes"
	case No:
		return "no"
	default:
		return "unknown"
	}
}

func statuses() []Status { return []Status{Yes, No, Unknown} }

// ProbeFunc answers a check when it is called, with the cause. It may read files.
type ProbeFunc func() (Status, string)

// health contains the answers. The gauges, /healthz and /readyz read the same answers, so they cannot disagree.
type health struct {
	mu      sync.Mutex // guards all below
	runtime Runtime
	answers map[Check]answer
	probes  map[Check]ProbeFunc
	// optional reports whether the answer "no" to a check is what the operator wants.
	optional map[Check]func() bool

	unanswered atomic.Bool
}

type answer struct {
	status Status
	cause  string
	since  time.Time
}

func newHealth() *health {
	h := &health{answers: make(map[Check]answer), probes: make(map[Check]ProbeFunc), optional: make(map[Check]func() bool)}
	for _, question := range questions() {
		h.answers[question.check] = answer{cause: "not checked yet", since: time.Now()}
	}
	return h
}

// Set records the answer to a check, and its cause.
func (m *Metrics) Set(check Check, status Status, cause string) {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.set(check, status, cause)
}

// Probe registers a function that answers a check each time health is requested.
func (m *Metrics) Probe(check Check, probe ProbeFunc) {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.probes[check] = probe
}

// Optional registers a function that reports whether the answer "no" to a check is what the operator wants. While it
// returns true, that answer does not prevent readiness.
func (m *Metrics) Optional(check Check, wanted func() bool) {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.optional[check] = wanted
}

// set records an answer. The time remains that of the last change of status.
func (h *health) set(check Check, status Status, cause string) {
	since := time.Now()
	if before := h.answers[check]; before.status == status {
		since = before.since
	}
	h.answers[check] = answer{status, cause, since}
}

// probe calls the probes without holding the lock, which would block other parts that record answers.
func (h *health) probe() {
	h.mu.Lock()
	probes := maps.Clone(h.probes)
	h.mu.Unlock()
	for check, probe := range probes {
		status, cause := probe()
		h.mu.Lock()
		h.set(check, status, cause)
		h.mu.Unlock()
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- checkDescription()
	descriptions <- registeredDescription()
	descriptions <- foundByDescription()
	descriptions <- unansweredDescription()
}

// Collect implements [prometheus.Collector]. Each possible status is a series, of which one is 1, as kube-state-metrics
// does for conditions: an alert can tell unknown from no.
func (m *Metrics) Collect(collected chan<- prometheus.Metric) {
	report := m.Health()
	gauge := func(description *prometheus.Desc, is bool, labels ...string) {
		collected <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, oneIf(is), labels...)
	}
	for _, check := range report.Checks {
		for _, status := range statuses() {
			gauge(checkDescription(), check.Status == status.String(), string(check.Check), status.String())
		}
	}
	gauge(registeredDescription(), report.Healthy)
	for _, foundBy := range policy.WaysToFind() {
		gauge(foundByDescription(), report.FoundBy == foundBy, string(foundBy))
	}
	gauge(unansweredDescription(), m.health.unanswered.Load())
}

func checkDescription() *prometheus.Desc {
	return prometheus.NewDesc("countersign_health_check",
		"1 for the current status of each health check: yes, no or unknown.", []string{"check", "status"}, nil)
}

func registeredDescription() *prometheus.Desc {
	return prometheus.NewDesc("countersign_nri_registered",
		"1 while the plugin is registered with NRI.", nil, nil)
}

func unansweredDescription() *prometheus.Desc {
	return prometheus.NewDesc("countersign_nri_unanswered",
		"1 while containerd accepts connections at NRI's socket, and has not answered the registration for 15 seconds.",
		nil, nil)
}

// Unanswered records whether containerd leaves the registration unanswered.
func (m *Metrics) Unanswered(is bool) { m.health.unanswered.Store(is) }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
