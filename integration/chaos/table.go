//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints the table, and what is not as it should be. The error says that a bound is not held.
func report(out io.Writer, rows []*row, isTimed bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "fault\ttimes\tseconds\ttries answered\twrong admissions\trefusals after 10 s\tsigned refused\t"+
		"slowest answer\ttime to recover\t")
	limits := bounds{isTimed: isTimed}
	for _, r := range rows {
		if r.fault.name == noFault {
			limits.quiet = max(r.recovery, r.slowest)
		}
	}
	var problems []string
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%d\t%d\t%d\t%d\t%s\t%s\t\n",
			r.fault.name, r.times, r.lasted.Seconds(), r.answered, r.wrongAdmissions, r.standing, r.refusedSigned,
			r.slowest.Round(time.Millisecond), r.recovery.Round(time.Millisecond))
		for _, bound := range r.broken(limits) {
			problems = append(problems, r.fault.name+": "+bound)
		}
		for _, example := range r.examples {
			problems = append(problems, fmt.Sprintf("%s: for example: %s %s %s",
				r.fault.name, example.name, example.what, example.detail))
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	broken := 0
	for _, problem := range problems {
		fmt.Fprintln(out, problem)
		if !strings.Contains(problem, ": for example: ") {
			broken++
		}
	}
	if broken > 0 {
		return fmt.Errorf("%w: %d", errBounds, broken)
	}
	return nil
}
