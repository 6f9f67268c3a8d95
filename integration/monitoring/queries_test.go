package monitoring_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// unseen are metrics that a healthy daemon does not have: the series of a part appears with its first panic.
const unseen = "countersign_panics_total"

// emptyWhenHealthy is the panel that shows nothing if every check is answered with yes.
const emptyWhenHealthy = "Health checks that are not yes"

// TestQueries runs everything that the dashboard and the alerts ask on the metrics of a daemon that makes decisions.
func TestQueries(t *testing.T) {
	w := rig.NewWorkshop(t)
	r := w.NewRig(t, node.NewRegistry(t, w.Distribution()))
	r.Write(t, "", node.Policy{Default: node.Cosign(w.Key.Public)})
	// A pull without a pod is refused only if no document accepts the image.
	r.Write(t, "loose", node.Policy{Default: node.Accept()})
	r.Daemon = r.PrepareDaemon(t, node.DaemonConfig{
		Settings: map[string]map[string]any{"enforce.namespaces": {"staging": "audit"}},
	})
	rig.OK(t, r.InstallVerifier(w.Build(t, "./plugin/verifier/countersign-verifier"), r.Daemon))
	r.Start(t)
	server := startPrometheus(t, r.Daemon.MetricsAddress)
	// Counters have to be scraped before they increase.
	rig.Eventually(t, "a scrape", func() error { return server.has(t, "countersign_build_info") })
	signed, unsigned := r.Push(t, "shop/signed:v1"), r.Push(t, "shop/unsigned:v1")
	rig.OK(t, r.Tools.Sign(t.Context(), node.Signing{Image: signed, Key: w.Key, OldFormat: true}))
	r.Pull(t, signed)
	r.Pull(t, unsigned)
	r.Begin(t, "prod", signed)
	if _, err := r.RunPodUntil(t.Context(), r.Pod("prod", unsigned)); !rig.IsRefused(err, "unsigned") {
		t.Fatalf("an unsigned image: %v", err)
	}
	rig.Eventually(t, "decisions to be scraped", func() error {
		return server.has(t, `increase(countersign_decisions_total{outcome="deny",reason="unsigned"}[1m]) > 0`)
	})
	t.Run("of the dashboard", server.dashboard)
	t.Run("of the alerts", server.rules)
	t.Run("alerts become pending", func(t *testing.T) {
		// The rules are evaluated up to a second after a scrape.
		rig.Eventually(t, "the alert of a refusal", func() error { return server.alerted(t, "CountersignRefuses") })
		before := rig.Must(server.alerts(t.Context()))(t)
		if before["CountersignPolicyInvalid"] || before["CountersignDown"] {
			t.Errorf("alerts after a refusal: %v", before)
		}
		rig.OK(t, r.WritePolicy("broken", "{"))
		rig.OK(t, r.Daemon.Terminate(t.Context()))
		rig.Eventually(t, "the alert of a daemon that is down", func() error { return server.alerted(t, "CountersignDown") })
		rig.OK(t, r.Daemon.Start())
		rig.Eventually(t, "the alert of an invalid document", func() error {
			return server.alerted(t, "CountersignPolicyInvalid")
		})
	})
	t.Run("are drawn", func(t *testing.T) { server.drawn(t, &work{Rig: r, signed: signed, unsigned: unsigned}) })
}

// has returns an error unless a query has a result.
func (p *prometheus) has(t *testing.T, query string) error {
	t.Helper()
	result, err := p.query(t.Context(), query)
	if err == nil && len(result) == 0 {
		err = fmt.Errorf("no series for %s", query)
	}
	return err
}

func (p *prometheus) alerted(t *testing.T, name string) error {
	t.Helper()
	alerts, err := p.alerts(t.Context())
	if err == nil && !alerts[name] {
		err = fmt.Errorf("the alerts are %v", alerts)
	}
	return err
}

// dashboard runs the queries of all panels. Each has a result, with a value for each label in its legend.
func (p *prometheus) dashboard(t *testing.T) {
	for _, panel := range readPanels(t) {
		for _, target := range panel.Targets {
			query := substituted(target.Expr)
			p.selects(t, query)
			result, err := p.query(t.Context(), query)
			if err != nil {
				t.Errorf("%s: %v", panel.Title, err)
				continue
			}
			if strings.Contains(query, unseen) || panel.Title == emptyWhenHealthy {
				continue
			}
			if len(result) == 0 {
				t.Errorf("%s: no series for %s", panel.Title, query)
			}
			for _, label := range labelsOf(target.LegendFormat) {
				for _, series := range result {
					if series.Metric[label] == "" {
						t.Errorf("%s: %s has no label %s", panel.Title, query, label)
					}
				}
			}
		}
	}
}

// labelsOf returns the labels in a legend.
func labelsOf(legend string) (labels []string) {
	for _, part := range strings.Split(legend, "{{")[1:] {
		label, _, _ := strings.Cut(part, "}}")
		labels = append(labels, label)
	}
	return labels
}

// rules runs the expressions of all alerts. Prometheus has loaded all of them.
func (p *prometheus) rules(t *testing.T) {
	var names []string
	for _, rule := range readRules(t) {
		names = append(names, rule.Alert)
		p.selects(t, rule.Expr)
		if _, err := p.query(t.Context(), rule.Expr); err != nil {
			t.Errorf("%s: %v", rule.Alert, err)
		}
	}
	data := rig.Must(get[struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}](t.Context(), p, "rules", nil))(t)
	var loaded []string
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			loaded = append(loaded, rule.Name)
			if rule.Health != "ok" {
				t.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if diff := cmp.Diff(names, loaded); diff != "" {
		t.Errorf("rules (-file +loaded):\n%s", diff)
	}
}

// selects requires that every selector of an expression selects a series of the daemon: an alert on a metric that was
// renamed would never fire.
func (p *prometheus) selects(t *testing.T, expression string) {
	t.Helper()
	selectors, err := p.selectors(t.Context(), expression)
	if err != nil || len(selectors) == 0 {
		t.Errorf("%s: selectors %q, %v", expression, selectors, err)
	}
	for _, selector := range selectors {
		if strings.Contains(selector, unseen) {
			continue
		}
		if err := p.has(t, "last_over_time("+selector+"[5m])"); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}
