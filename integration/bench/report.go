package main

import (
	"fmt"
	"io"
	"math"
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

// ratioOfPairs returns the geometric mean of the ratios of the pairs of a and b, of which there are at least two, and
// its 95 % interval by Student's t distribution. A bootstrap of few values would give too narrow an interval.
func ratioOfPairs(a, b []float64) (low, ratio, high float64) {
	// The 97.5 % quantiles of the distribution by degrees of freedom. The last one serves for more of them, too: it
	// makes the interval wider.
	students := []float64{12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179}
	count := float64(len(a))
	var mean, squares float64
	for i := range a {
		mean += math.Log(a[i]/b[i]) / count
	}
	for i := range a {
		deviation := math.Log(a[i]/b[i]) - mean
		squares += deviation * deviation
	}
	student := students[min(len(a)-2, len(students)-1)]
	half := student * math.Sqrt(squares/(count-1)/count)
	return math.Exp(mean - half), math.Exp(mean), math.Exp(mean + half)
}

// medianDifference returns the median of the differences of the pairs of a and b, and its bootstrap 95 % interval.
func medianDifference(a, b []float64) (low, median, high float64) {
	const resamples = 1000
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // A bootstrap that can be repeated.
	differences, sample := make([]float64, len(a)), make([]float64, len(a))
	for i := range differences {
		differences[i] = a[i] - b[i]
	}
	medians := make([]float64, resamples)
	for i := range medians {
		for j := range sample {
			sample[j] = differences[random.IntN(len(differences))]
		}
		medians[i] = quantile(sample, 0.5)
	}
	return quantile(medians, 0.025), quantile(differences, 0.5), quantile(medians, 0.975)
}
