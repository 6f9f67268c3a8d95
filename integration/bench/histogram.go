package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/countersign/countersign/integration/node"
)

// histogram is one that Prometheus would scrape: how many figures are at most the bound.
type histogram []bucket

type bucket struct{ bound, count float64 }

// callbacks reads the histogram of the time that answers took.
func callbacks(ctx context.Context, daemon *node.Daemon) (histogram, error) {
	text, err := daemon.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	var h histogram
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		var b bucket
		var bound string
		line := strings.Replace(lines.Text(), "+Inf", fmt.Sprint(math.MaxFloat64), 1)
		if n, _ := fmt.Sscanf(line, "countersign_callback_seconds_bucket{le=%q} %g", &bound, &b.count); n != 2 {
			continue
		}
		if _, err := fmt.Sscan(bound, &b.bound); err != nil {
			return nil, fmt.Errorf("reading the histogram: %w", err)
		}
		h = append(h, b)
	}
	if len(h) == 0 {
		return nil, errors.New("the daemon has no histogram of its callback")
	}
	slices.SortFunc(h, func(a, b bucket) int { return int(math.Copysign(1, a.bound-b.bound)) })
	return h, nil
}

// since returns what came to a histogram since an earlier reading.
func (h histogram) since(earlier histogram) histogram {
	difference := slices.Clone(h)
	for i := range difference {
		difference[i].count -= earlier[i].count
	}
	return difference
}

// quantile interpolates within the bucket that the quantile falls into.
func (h histogram) quantile(q float64) float64 {
	wanted := q * h[len(h)-1].count
	var below bucket
	for _, b := range h {
		if b.count >= wanted {
			return below.bound + (b.bound-below.bound)*(wanted-below.count)/max(b.count-below.count, 1)
		}
		below = b
	}
	return below.bound
}
