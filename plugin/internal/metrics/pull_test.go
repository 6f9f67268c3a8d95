package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

func TestPullsAndPrefetchesAreCounted(t *testing.T) {
	m := metrics.New(nil)
	refused := audit.Pull{Took: time.Second, Verdict: policy.Verdict{Reason: policy.Unsigned}}
	admitted := audit.Pull{Outcome: policy.Admit, Verdict: policy.Verdict{Reason: policy.Unavailable}}
	_, before := get(t, serve(t, m)+"/metrics")
	m.Pulled(refused)
	m.Pulled(admitted)
	m.Pulled(admitted)
	m.Prefetched(false)
	m.Prefetched(true)
	m.PrefetchWaiting(7)
	_, after := get(t, serve(t, m)+"/metrics")
	for _, series := range []string{
		`countersign_pulls_total{outcome="deny",reason="unsigned"} 1`,
		`countersign_pulls_total{outcome="admit",reason="unavailable"} 2`,
		`countersign_pulls_total{outcome="admit",reason="accepted"} 0`,
		`countersign_pull_duration_seconds_count 3`,
		`countersign_prefetches_total{result="looked"} 1`,
		`countersign_prefetches_total{result="failed"} 1`,
		`countersign_prefetch_images_waiting 7`,
	} {
		if !strings.Contains(after, "\n"+series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
	if strings.Count(before, "countersign_p") != strings.Count(after, "countersign_p") {
		t.Error("counting created new series")
	}
}
