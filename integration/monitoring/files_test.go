package monitoring_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/countersign/countersign/integration/rig"
)

// rule is one alert.
type rule struct {
	Alert, Expr string
}

// panel is one panel of the dashboard.
type panel struct {
	Title   string
	Targets []struct{ Expr, LegendFormat string }
}

func readRules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	rig.OK(t, yaml.Unmarshal(rig.Must(os.ReadFile(filepath.Join(directory, "rules.yaml")))(t), &file))
	var rules []rule
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) < 10 {
		t.Fatalf("only %d rules", len(rules))
	}
	return rules
}

func readPanels(t *testing.T) []panel {
	t.Helper()
	var file struct{ Panels []panel }
	rig.OK(t, json.Unmarshal(rig.Must(os.ReadFile(filepath.Join(directory, "dashboard.json")))(t), &file))
	if len(file.Panels) < 10 {
		t.Fatalf("only %d panels", len(file.Panels))
	}
	return file.Panels
}

// substituted is a query of the dashboard with values for Grafana's variables.
func substituted(query string) string {
	return strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(query)
}
