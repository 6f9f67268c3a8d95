package daemon

import (
	"fmt"
	"time"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy/evidence"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/files"
)

// healthAnswer is the answer to a health check.
type healthAnswer struct {
	status metrics.Status
	cause  string
}

// reportPolicies reports the state of the policy documents.
func (d *daemon) reportPolicies(status files.Status) {
	d.metrics.PolicyLoaded(status.Documents, status.Failures)
	documents, keys := policyHealth(status)
	d.metrics.Set(metrics.Policies, documents.status, documents.cause)
	d.metrics.Set(metrics.Keys, keys.status, keys.cause)
}

// registerProbes registers the functions that metrics and health checks call for each request.
func (d *daemon) registerProbes() {
	d.metrics.Probe(metrics.Evidence, evidenceHealth(d.keeper))
	d.metrics.Probe(metrics.AuditFile, d.recorder.file.health)
	d.metrics.Probe(metrics.Registries, registriesHealth(d.registries))
	d.metrics.Optional(metrics.Required, d.current.onlyAudits)
	d.metrics.Register(metrics.Gauges{
		PolicyGood:    func() time.Time { return d.documents.Status().LastGood },
		EvidenceBytes: d.keeper.StoredBytes,
	})
}

// policyHealth answers the checks of policy documents and of their key files.
func policyHealth(status files.Status) (documents, keys healthAnswer) {
	documents = healthAnswer{metrics.Yes, fmt.Sprintf("%d documents", status.Documents)}
	keys = healthAnswer{metrics.Yes, ""}
	if len(status.Keys) > 0 {
		keys = healthAnswer{metrics.No, more(describeKey(status.Keys[0]), len(status.Keys))}
	}
	// The check of key files reports the others, with document and scope.
	invalid := status.DocumentProblems()
	if len(invalid) > 0 {
		documents = healthAnswer{metrics.No, describeProblem(invalid[0])}
	}
	documents.cause = more(documents.cause, len(invalid))
	return documents, keys
}

func describeKey(key files.KeyProblem) string {
	scope := "scope " + key.Scope
	if key.IsDefault {
		scope = "the default"
	}
	return fmt.Sprintf("%s of %s: %s", scope, key.Document, key.Cause)
}

func describeProblem(problem files.Problem) string {
	if problem.KeptSince.IsZero() {
		return problem.Text
	}
	return fmt.Sprintf("%s; an earlier version is in force since %s", problem.Text, problem.KeptSince.Format(time.RFC3339))
}

// more returns a cause, with the number of other problems.
func more(cause string, problems int) string {
	if problems < 2 {
		return cause
	}
	return fmt.Sprintf("%s; and %d more, see the log", cause, problems-1)
}

// registriesHealth answers the check of the registry configuration.
func registriesHealth(registries *evidencefetch.Fetcher) metrics.ProbeFunc {
	return func() (metrics.Status, string) {
		problems := registries.Problems()
		if len(problems) == 0 {
			return metrics.Yes, ""
		}
		return metrics.No, more(problems[0].Error(), len(problems))
	}
}

// evidenceHealth answers whether evidence can be written to disk.
func evidenceHealth(keeper *evidence.Keeper) metrics.ProbeFunc {
	return func() (metrics.Status, string) {
		if err := keeper.StoreProblem(); err != nil {
			return metrics.No, err.Error()
		}
		return metrics.Yes, ""
	}
}
