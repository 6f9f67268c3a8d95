package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// dashboard is what the program reads of Grafana's model of a dashboard.
type dashboard struct {
	Title  string
	Panels []panel
}

// panel is one panel. Its position is in Grafana's grid.
type panel struct {
	Type, Title string
	GridPos     struct{ H, W, X, Y int }
	FieldConfig struct {
		Defaults struct {
			Unit   string
			Custom struct {
				FillOpacity float64
				Stacking    struct{ Mode string }
			}
			Thresholds struct{ Steps []threshold }
		}
	}
	Targets         []target
	Transformations []struct {
		Options struct{ ExcludeByName map[string]bool }
	}
}

// threshold is the color of values from Value on; the first one has no value.
type threshold struct {
	Color string
	Value *float64
}

type target struct {
	Expr, LegendFormat string
	Instant            bool
}

func readDashboard(path string) (*dashboard, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard: %w", err)
	}
	var read dashboard
	if err := json.Unmarshal(raw, &read); err != nil {
		return nil, fmt.Errorf("reading the dashboard %s: %w", path, err)
	}
	return &read, nil
}

// query returns the expression with values for Grafana's variables: all nodes, and one interval for rates.
func (t target) query(rate time.Duration) string {
	return strings.NewReplacer(
		"$instance", ".*", "$__rate_interval", model.Duration(rate).String(),
	).Replace(t.Expr)
}

// legend returns the name of a series: the format with the values of its labels.
func (t target) legend(metric model.Metric) string {
	if t.LegendFormat == "" {
		return metric.String()
	}
	name := t.LegendFormat
	for label, value := range metric {
		name = strings.ReplaceAll(name, "{{"+string(label)+"}}", string(value))
	}
	return name
}

func (p *panel) stacked() bool { return p.FieldConfig.Defaults.Custom.Stacking.Mode == "normal" }

// excludes reports whether a transformation removes a column from a table.
func (p *panel) excludes(column string) bool {
	for _, transformation := range p.Transformations {
		if transformation.Options.ExcludeByName[column] {
			return true
		}
	}
	return false
}
