package main

import (
	"errors"
	"slices"

	"github.com/countersign/countersign/integration/node"
)

// histogram has the number of values that are at most each bound.
type histogram []bucket

type bucket struct{ bound, count float64 }

// callbacks reads the durations of the daemon's answers from its log, because its classic histogram is too coarse for
// quantiles. Neighbouring bounds differ by 1 %.
func callbacks(daemon *node.Daemon) (histogram, error) {
	decisions, err := daemon.Decisions()
	if err != nil {
		return nil, err
	}
	var seconds []float64
	for _, decision := range decisions {
		if took, ok := decision.Record["took_seconds"].(float64); ok && decision.Stage == "creation" {
			seconds = append(seconds, took)
		}
	}
	if len(seconds) == 0 {
		return nil, errors.New("the daemon's log has no decision")
	}
	slices.Sort(seconds)
	var h histogram
	for bound := 10e-6; bound < 4; bound *= 1.01 {
		count, _ := slices.BinarySearch(seconds, bound)
		h = append(h, bucket{bound, float64(count)})
	}
	return h, nil
}

// since returns what was added to a histogram since an earlier reading.
func (h histogram) since(earlier histogram) histogram {
	difference := slices.Clone(h)
	for i := range difference {
		difference[i].count -= earlier[i].count
	}
	return difference
}

// quantile interpolates within the bucket that contains the quantile.
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
