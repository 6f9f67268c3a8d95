package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Write writes a report as a table. Below each check that is not answered with yes are the cause and the remedy.
func (r Report) Write(w io.Writer, colored bool) error {
	width := 0
	for _, result := range r.Checks {
		width = max(width, len(result.Check))
	}
	var table strings.Builder
	counts := make(map[Status]int)
	for _, result := range r.Checks {
		counts[result.Status]++
		status := fmt.Sprintf("%-7s", result.Status)
		if colored {
			status = colorOf(result.Status) + status + "\x1b[0m"
		}
		line := result.Question
		if result.Status == Yes && result.Cause != "" {
			line += " (" + result.Cause + ")"
		}
		fmt.Fprintf(&table, "%s  %-*s  %s\n", status, width, result.Check, line)
		if result.Status != Yes {
			fmt.Fprintf(&table, "%*s  because: %s\n", width+9, "", result.Cause)
			fmt.Fprintf(&table, "%*s  to do:   %s\n", width+9, "", result.Remedy)
		}
	}
	fmt.Fprintf(&table, "%d yes, %d no, %d unknown\n", counts[Yes], counts[No], counts[Unknown])
	if _, err := io.WriteString(w, table.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// colorOf returns the escape sequence of a status (ECMA-48, SGR).
func colorOf(status Status) string {
	switch status {
	case Yes:
		return "\x1b[32m"
	case No:
		return "\x1b[31m"
	default:
		return "\x1b[33m"
	}
}
