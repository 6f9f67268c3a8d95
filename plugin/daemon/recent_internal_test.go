package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

func TestDecisionsAreCountedForAnHour(t *testing.T) {
	start := time.Date(2026, 11, 29, 9, 0, 30, 0, time.UTC)
	accepted := policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
	unsigned := policy.Verdict{Reason: policy.Unsigned}
	var counted recent
	counted.add(audit.Record{Time: start, Verdict: unsigned})
	for i := range 3 {
		counted.add(audit.Record{Time: start.Add(time.Duration(i) * time.Minute), Verdict: accepted})
	}
	counted.add(audit.Record{Time: start, Verdict: unsigned, Mode: audit.Audit})
	for name, test := range map[string]struct {
		after time.Duration
		want  []Decisions
	}{
		"at once": {2 * time.Minute, []Decisions{
			{"admit", "accepted", false, 3}, {"admit", "unsigned", true, 1}, {"deny", "unsigned", false, 1},
		}},
		"an hour later":      {time.Hour, []Decisions{{"admit", "accepted", false, 2}}},
		"two hours later":    {2 * time.Hour, []Decisions{}},
		"when an hour ended": {61 * time.Minute, []Decisions{{"admit", "accepted", false, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, counted.lastHour(start.Add(test.after))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	counted.add(audit.Record{Time: start.Add(recentMinutes * time.Minute), Verdict: unsigned})
	want := []Decisions{{"admit", "accepted", false, 2}, {"deny", "unsigned", false, 1}}
	if diff := cmp.Diff(want, counted.lastHour(start.Add(time.Hour))); diff != "" {
		t.Errorf("a minute that is used again (-want +got):\n%s", diff)
	}
}

func TestRunningContainersAreNotCountedAsDecisions(t *testing.T) {
	var counted recent
	counted.add(audit.Record{Stage: audit.Running, Verdict: policy.Verdict{Reason: policy.Rejected}})
	if len(counted.lastHour(time.Unix(0, 0))) != 0 {
		t.Error("containers that already ran are counted as decisions")
	}
}
