package main

import (
	"fmt"
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
	figures.Register(metrics.Gauges{
		PolicyGood:    func() time.Time { return documents.Status().LastGood },
		EvidenceBytes: keeper.StoredBytes,
	})
}

// policyHealth answers for policy documents and for the key files that they name.
func policyHealth(status files.Status) (documents, keys finding) {
	documents = finding{metrics.Yes, fmt.Sprintf("%d documents", status.Documents)}
	keys = finding{metrics.Yes, ""}
	var invalid, unusable int
	for _, problem := range status.Problems {
		// A problem without a path is a key file's, or one of watching, which is of no document.
		found, count := &documents, &invalid
		if problem.Path == "" && !problem.Kept {
			found, count = &keys, &unusable
		}
		if *count++; *count == 1 {
			*found = finding{metrics.No, problem.Text}
		}
	}
	documents.cause = more(documents.cause, invalid)
	keys.cause = more(keys.cause, unusable)
	return documents, keys
}

// more says that a problem is not the only one.
func more(cause string, problems int) string {
	if problems < 2 {
		return cause
	}
	return fmt.Sprintf("%s; and %d more, see the log", cause, problems-1)
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
