package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/files"
)

// reportPolicies reports how loading the policy documents went.
func reportPolicies(figures *metrics.Metrics, status files.Status) {
	figures.PolicyLoaded(status.Documents, status.Failures)
	documents, keys := policyHealth(status)
	figures.Set(metrics.Policies, documents.status, documents.cause)
	figures.Set(metrics.Keys, keys.status, keys.cause)
}

// reportStores has figures and health ask what is stored, and whether it can be.
func reportStores(figures *metrics.Metrics, documents *files.Documents, keeper *evidence.Keeper) {
	figures.Probe(metrics.Evidence, evidenceHealth(keeper))
	figures.Probe(metrics.Registries, registriesHealth(keeper.Fetcher()))
	figures.Register(metrics.Gauges{
		PolicyGood:    func() time.Time { return documents.Status().LastGood },
		EvidenceBytes: keeper.StoredBytes,
	})
}

// policyHealth answers for policy documents and for the key files that they name.
func policyHealth(status files.Status) (documents, keys finding) {
	documents = finding{metrics.Yes, fmt.Sprintf("%d documents", status.Documents)}
	keys = finding{metrics.Yes, ""}
	if len(status.Keys) > 0 {
		keys = finding{metrics.No, more(describeKey(status.Keys[0]), len(status.Keys))}
	}
	invalid := 0
	for _, problem := range status.Problems {
		ofKey := func(key files.KeyProblem) bool { return problem.Path == "" && key.Cause == problem.Text }
		if slices.ContainsFunc(status.Keys, ofKey) {
			continue // It is said above, with its document and scope.
		}
		if invalid++; invalid == 1 {
			documents = finding{metrics.No, describeProblem(problem)}
		}
	}
	documents.cause = more(documents.cause, invalid)
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

// more says that a problem is not the only one.
func more(cause string, problems int) string {
	if problems < 2 {
		return cause
	}
	return fmt.Sprintf("%s; and %d more, see the log", cause, problems-1)
}

// registriesHealth answers for the files that say how registries are reached.
func registriesHealth(registries *evidence.Fetcher) metrics.ProbeFunc {
	return func() (metrics.Status, string) {
		problems := registries.Problems()
		if len(problems) == 0 {
			return metrics.Yes, ""
		}
		return metrics.No, more(problems[0].Error(), len(problems))
	}
}

// evidenceHealth answers whether evidence can be stored on disk.
func evidenceHealth(keeper *evidence.Keeper) metrics.ProbeFunc {
	return func() (metrics.Status, string) {
		if err := keeper.StoreProblem(); err != nil {
			return metrics.No, err.Error()
		}
		return metrics.Yes, ""
	}
}
