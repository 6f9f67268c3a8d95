package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
)

// report prints results with their limits, and counts the limits that are exceeded.
type report struct {
	out    io.Writer
	missed int
}

// atMost prints a result that must not exceed a limit.
func (r *report) atMost(what string, figure, bound float64, unit string) {
	verdict := "holds"
	if figure > bound {
		verdict = "MISSED"
		r.missed++
	}
	fmt.Fprintf(r.out, "%-78s %9.3f %s  (bound %g %s)  %s\n", what, figure, unit, bound, unit, verdict)
}

// note prints a result that has no limit.
func (r *report) note(what string, figure float64, unit string) {
	fmt.Fprintf(r.out, "%-78s %9.3f %s\n", what, figure, unit)
}

// quantile returns the q-quantile of values, and sorts them.
func quantile(figures []float64, q float64) float64 {
	slices.Sort(figures)
	return figures[min(int(q*float64(len(figures))), len(figures)-1)]
}

// ratioOfMedians returns the ratio of the medians of a and b, and its bootstrap 95 % interval. It resamples pairs,
// because disturbances of the machine affect both values of a pair.
func ratioOfMedians(a, b []float64) (low, ratio, high float64) {
	const resamples = 1000
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // A bootstrap that can be repeated.
	ratios := make([]float64, resamples)
	sampleA, sampleB := make([]float64, len(a)), make([]float64, len(b))
	for i := range ratios {
		for j := range sampleA {
			at := random.IntN(len(a))
			sampleA[j], sampleB[j] = a[at], b[at]
		}
		ratios[i] = quantile(sampleA, 0.5) / quantile(sampleB, 0.5)
	}
	ratio = quantile(slices.Clone(a), 0.5) / quantile(slices.Clone(b), 0.5)
	return quantile(ratios, 0.025), ratio, quantile(ratios, 0.975)
}
