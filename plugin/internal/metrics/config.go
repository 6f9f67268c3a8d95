package metrics

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// defaultNamespace is the label of every namespace that the configuration does not name. It is not a valid namespace of
// Kubernetes.
const defaultNamespace = "*"

// config holds the metrics of the configuration and the policies.
type config struct {
	enforcing *prometheus.GaugeVec
	succeeded prometheus.Gauge
	reloaded  prometheus.Gauge
	documents prometheus.Gauge
	invalid   prometheus.Gauge
}

func newConfig() config {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	return config{
		enforcing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_enforcing",
			Help: "1 if denials are enforced, 0 in audit mode, for each namespace that config.toml names, and * for all others.",
		}, []string{"namespace"}),
		succeeded: gauge("countersign_config_last_reload_successful",
			"1 if config.toml was valid when it was last read; if 0, an earlier configuration is in force."),
		reloaded: gauge("countersign_config_last_reload_success_timestamp_seconds",
			"When the current configuration was loaded."),
		documents: gauge("countersign_policy_documents",
			"Policy documents, including the system policy."),
		invalid: gauge("countersign_policy_documents_invalid",
			"Policy documents whose version on disk cannot be loaded."),
	}
}

func (c *config) collectors() []prometheus.Collector {
	return []prometheus.Collector{c.enforcing, c.succeeded, c.reloaded, c.documents, c.invalid}
}

// Enforcing records where denials are enforced: in the namespaces that the configuration names, and in all others.
func (m *Metrics) Enforcing(others bool, named map[string]bool) {
	m.config.enforcing.Reset()
	named = maps.Clone(named)
	if named == nil {
		named = make(map[string]bool)
	}
	named[defaultNamespace] = others
	for namespace, enforcing := range named {
		m.config.enforcing.WithLabelValues(namespace).Set(oneIf(enforcing))
	}
}

// ConfigRead records that the configuration was read, and whether it was valid; a valid one is now in force.
func (m *Metrics) ConfigRead(valid bool) {
	m.config.succeeded.Set(oneIf(valid))
	if valid {
		m.config.reloaded.Set(float64(time.Now().Unix()))
	}
}

// PolicyLoaded records the number of policy documents, including the system policy, and how many of them cannot be
// loaded as they are on disk, whether or not an earlier version is still in force.
func (m *Metrics) PolicyLoaded(documents, invalid int) {
	m.config.documents.Set(float64(documents))
	m.config.invalid.Set(float64(invalid))
}

// Gauges are functions that return values of other parts of the daemon when metrics are requested. All are required.
type Gauges struct {
	// PolicyGood is when all policy documents and keys were last valid; zero: never.
	PolicyGood func() time.Time
	// EvidenceBytes is the size of the stored evidence.
	EvidenceBytes func() int64
}

// Register adds the gauges. It is called once.
func (m *Metrics) Register(g Gauges) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("countersign_policy_last_reload_success_timestamp_seconds",
		"When all policy documents and key files were last valid; 0 if never.",
		func() float64 {
			if good := g.PolicyGood(); !good.IsZero() {
				return float64(good.Unix())
			}
			return 0
		})
	gauge("countersign_evidence_bytes", "Bytes of stored evidence.",
		func() float64 { return float64(g.EvidenceBytes()) })
}
