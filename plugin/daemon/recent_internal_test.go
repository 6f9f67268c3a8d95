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

func TestContainersAreInDriftUntilTheyAreAdmitted(t *testing.T) {
	refused := policy.Verdict{Reason: policy.Rejected}
	var counted recent
	running := func(id string, verdict policy.Verdict, mode audit.Mode) {
		counted.add(audit.Record{Stage: audit.Running, ContainerID: id, Verdict: verdict, Mode: mode})
	}
	running("b", refused, audit.Enforce)
	running("a", refused, audit.Enforce)
	running("c", refused, audit.Audit)
	if diff := cmp.Diff([]string{"a", "b"}, counted.inDrift()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	running("a", policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}, audit.Enforce)
	if diff := cmp.Diff([]string{"b"}, counted.inDrift()); diff != "" {
		t.Errorf("after one is admitted (-want +got):\n%s", diff)
	}
	if len(counted.lastHour(time.Unix(0, 0))) != 0 {
		t.Error("containers that already ran are counted as decisions")
	}
}
