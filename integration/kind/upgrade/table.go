package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// print writes the table, and what containerd has answered to attempts apart from refusals.
func print(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "while\ttook\tstarts of the daemons\tsigned pods\trefused for a time\trefused finally\t"+
		"unsigned pods\tran\trefused\tcontainers unchecked\tattempts\tcreated\trefused\tno daemon\tother errors")
	for _, r := range rows {
		var starts []string
		for _, node := range slices.Sorted(maps.Keys(r.starts)) {
			starts = append(starts, fmt.Sprint(r.starts[node]))
		}
		final, others := sum(r.wrong), sum(r.tried.others)
		attempts := r.tried.admitted + r.tried.refused + r.tried.absent + others
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.step.what,
			r.took.Round(time.Second), strings.Join(starts, " "), r.pods[signed], r.temporary, final, r.pods[unsigned],
			r.ran[unsigned], r.refused, r.unchecked, attempts, r.tried.admitted, r.tried.refused, r.tried.absent, others)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		for _, texts := range []map[string]int{r.wrong, r.tried.others} {
			for _, text := range slices.Sorted(maps.Keys(texts)) {
				fmt.Fprintf(w, "%s: %d times: %s\n", r.step.what, texts[text], text)
			}
		}
	}
	return nil
}

func sum(counts map[string]int) (total int) {
	for _, count := range counts {
		total += count
	}
	return total
}

// judge returns an error that names the numbers that are wrong.
func judge(rows []row) (failed error) {
	for _, r := range rows {
		wrong := map[string]int{
			"unsigned containers ran":                r.ran[unsigned],
			"unsigned containers were created":       r.tried.admitted,
			"unsigned images were admitted":          r.admitted,
			"containers run without a decision":      r.unchecked,
			"unsigned pods were not refused":         r.pods[unsigned] - r.refused,
			"signed pods do not run":                 r.pods[signed] - r.ran[signed],
			"kinds of final refusals of signed pods": len(r.wrong),
			"pods are missing":                       max(0, 4*least-r.pods[signed]-r.pods[unsigned]),
		}
		for node, starts := range r.starts {
			if r.step.starts < 0 {
				continue
			}
			wrong["starts of the daemon too many or too few on "+node] = starts - r.step.starts
		}
		maps.DeleteFunc(wrong, func(_ string, count int) bool { return count == 0 })
		for what, count := range wrong {
			failed = errors.Join(failed, fmt.Errorf("%s: %d %s", r.step.what, count, what))
		}
	}
	return failed
}
