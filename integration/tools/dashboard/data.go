package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// window is the time that the picture shows.
type window struct {
	start, end time.Time
	// rate is the interval over which Prometheus computes rates.
	rate time.Duration
}

// steps is the number of points of a complete series.
const steps = 240

func (w window) step() time.Duration {
	return max(w.end.Sub(w.start)/steps, time.Second).Round(time.Second)
}

// line is one series of a panel, with its name in the legend.
type line struct {
	name   string
	points []model.SamplePair
}

// source answers the queries of panels.
type source struct {
	api prometheus.API
	window
}

func newSource(address string, of window) (*source, error) {
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return nil, fmt.Errorf("connecting to Prometheus: %w", err)
	}
	return &source{api: prometheus.NewAPI(client), window: of}, nil
}

// lines returns the series of a panel over the window, in the order of its queries.
func (s *source) lines(ctx context.Context, p *panel) (lines []line, err error) {
	over := prometheus.Range{Start: s.start, End: s.end, Step: s.step()}
	for _, target := range p.Targets {
		value, _, _, err := s.api.QueryRange(ctx, target.query(s.rate), over)
		if err != nil {
			return nil, fmt.Errorf("the panel %q: %w", p.Title, err)
		}
		matrix, isMatrix := value.(model.Matrix)
		if !isMatrix {
			return nil, fmt.Errorf("the panel %q: the result is a %s", p.Title, value.Type())
		}
		for _, series := range matrix {
			lines = append(lines, line{name: target.legend(series.Metric), points: series.Values})
		}
	}
	return lines, nil
}

// vector returns the result of the panel's only query at the end of the window.
func (s *source) vector(ctx context.Context, p *panel) (model.Vector, error) {
	if len(p.Targets) != 1 {
		return nil, fmt.Errorf("the panel %q has %d queries", p.Title, len(p.Targets))
	}
	value, _, _, err := s.api.Query(ctx, p.Targets[0].query(s.rate), s.end)
	if err != nil {
		return nil, fmt.Errorf("the panel %q: %w", p.Title, err)
	}
	vector, isVector := value.(model.Vector)
	if !isVector {
		return nil, fmt.Errorf("the panel %q: the result is a %s", p.Title, value.Type())
	}
	return vector, nil
}
