package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/countersign/countersign/policy/text"
)

// Result is one check and its answer, in JSON.
type Result struct {
	Check  Check  `json:"check"`
	Status string `json:"status"`
	// Cause is one line, and may be empty for "yes".
	Cause string `json:"cause"`
	// Since is when the daemon last saw the status change.
	Since time.Time `json:"since"`

	question string
}

// Report is the health of the daemon.
type Report struct {
	// Healthy is the answer of /healthz: whether the plugin is registered. A restart repairs nothing else.
	Healthy bool `json:"healthy"`
	// Ready is the answer of /readyz: whether every check is answered with yes, or with the "no" that the operator wants.
	Ready  bool     `json:"ready"`
	Checks []Result `json:"checks"`
	// Runtime is empty until the plugin has registered for the first time.
	Runtime
}

// Health returns the answers to all checks.
func (m *Metrics) Health() Report {
	h := m.health
	h.probe()
	h.mu.Lock()
	defer h.mu.Unlock()
	report := Report{Ready: true, Runtime: h.runtime}
	for _, question := range questions() {
		found := h.answers[question.check]
		report.Checks = append(report.Checks, Result{
			Check: question.check, Status: found.status.String(), question: question.text,
			Cause: text.OneLine(found.cause), Since: found.since.UTC().Truncate(time.Second),
		})
		report.Ready = report.Ready && h.acceptable(question.check, found.status)
	}
	report.Healthy = h.answers[Registered].status == Yes
	return report
}

// acceptable reports whether an answer is no reason to call the daemon not ready.
func (h *health) acceptable(check Check, status Status) bool {
	wanted, ok := h.optional[check]
	return status == Yes || status == No && ok && wanted()
}

// String returns one line for each check.
func (r Report) String() string {
	var lines strings.Builder
	for _, check := range r.Checks {
		cause := ""
		if check.Cause != "" {
			cause = " (" + check.Cause + ")"
		}
		fmt.Fprintf(&lines, "%s: %s%s, since %s\n",
			check.question, check.Status, cause, check.Since.Format(time.RFC3339))
	}
	return lines.String() + r.lines()
}
