package metrics_test

import (
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// BenchmarkCounting measures what a decision pays for its metrics while the runtime waits.
func BenchmarkCounting(b *testing.B) {
	m := metrics.New(nil)
	r := audit.Record{Stage: audit.Creation, Mode: audit.Enforce}
	r.Verdict = policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
	b.ReportAllocs()
	for b.Loop() {
		m.Decided(r)
		m.Answered(260 * time.Microsecond)
	}
}
