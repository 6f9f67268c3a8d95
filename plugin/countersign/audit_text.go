package main

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy/text"
)

// Escape sequences of terminals, for the outcome of a record.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// maxColumn is how wide a column becomes. Longer values move the rest of their line.
const maxColumn = 60

// auditText writes records in aligned columns. The number of records is not known, so that a column becomes wider when
// a longer value follows. Create one with newAuditText.
type auditText struct {
	to     io.Writer
	color  bool
	header bool // is written
	widths []int
}

func newAuditText(to io.Writer) *auditText {
	return &auditText{to: to, color: isColored(to), widths: []int{20, 10, 14, 12, 24, 36}}
}

// isColored reports whether colors are wanted: on a terminal, unless NO_COLOR (https://no-color.org) is set.
func isColored(to io.Writer) bool {
	file, ok := to.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

func (t *auditText) write(entry audit.Entry) error {
	var lines strings.Builder
	if !t.header {
		t.line(&lines, "", []string{"TIME", "OUTCOME", "REASON", "NAMESPACE", "SUBJECT", "IMAGE", "DETAIL"})
		t.header = true
	}
	outcome, color := outcomeOf(entry)
	t.line(&lines, color, []string{
		entry.Time.Local().Format(time.RFC3339), outcome, entry.Reason, entry.Namespace, subjectOf(entry),
		entry.Reference, entry.Detail,
	})
	_, err := io.WriteString(t.to, lines.String())
	return err
}

// line writes a line, with the outcome in a color. Values may come from tenants and registries.
func (t *auditText) line(to *strings.Builder, color string, values []string) {
	for i, value := range values {
		value = text.OneLine(value)
		if value == "" {
			value = "-"
		}
		if i == len(values)-1 {
			to.WriteString(value + "\n")
			return
		}
		length := utf8.RuneCountInString(value)
		t.widths[i] = max(t.widths[i], min(length, maxColumn))
		space := strings.Repeat(" ", max(t.widths[i]-length, 0)+2)
		if i == 1 && t.color && color != "" {
			value = color + value + reset
		}
		to.WriteString(value + space)
	}
}

// outcomeOf returns what happened, and its color.
func outcomeOf(entry audit.Entry) (outcome, color string) {
	switch {
	case entry.Drift:
		return "drift", yellow
	case entry.WouldDeny:
		return "would deny", yellow
	case entry.Outcome == "deny":
		return "deny", red
	default:
		return entry.Outcome, green
	}
}

// subjectOf returns what the record is about: a container, one of its image volumes, or a pull.
func subjectOf(entry audit.Entry) string {
	if entry.Message == audit.PullMessage {
		return strings.TrimSuffix("pull "+entry.Pod, " ")
	}
	subject := entry.Pod + "/" + entry.Container
	if entry.Volume != "" {
		subject += ":" + entry.Volume
	}
	return subject
}
