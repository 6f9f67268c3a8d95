package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// runs is the record of a running container.
func runs(id, volume string, reason policy.Reason, mode audit.Mode) audit.Record {
	record := audit.Record{
		Stage: audit.Running, ContainerID: id, Volume: volume, Mode: mode, Verdict: policy.Verdict{Reason: reason},
	}
	if reason == policy.Accepted {
		record.Verdict.Outcome = policy.Admit
	}
	return record
}

func TestContainersAreInDriftUntilTheyAreAdmittedOrEnd(t *testing.T) {
	created := runs("a", "", policy.Rejected, audit.Enforce)
	created.Stage = audit.Creation
	for name, test := range map[string]struct {
		records []audit.Record
		ended   string
		want    []string
		found   int
	}{
		"nothing":   {nil, "", []string{}, 0},
		"a refusal": {[]audit.Record{runs("a", "", policy.Rejected, audit.Enforce)}, "", []string{"a"}, 1},
		"the same one again": {
			[]audit.Record{runs("a", "", policy.Rejected, audit.Enforce), runs("a", "", policy.Unsigned, audit.Enforce)},
			"",
			[]string{"a"},
			1,
		},
		"in audit mode":           {[]audit.Record{runs("a", "", policy.Rejected, audit.Audit)}, "", []string{}, 0},
		"a refusal at a creation": {[]audit.Record{created}, "", []string{}, 0},
		"it is admitted": {
			[]audit.Record{runs("a", "", policy.Rejected, audit.Enforce), runs("a", "", policy.Accepted, audit.Enforce)},
			"",
			[]string{},
			1,
		},
		"audit mode begins": {
			[]audit.Record{runs("a", "", policy.Rejected, audit.Enforce), runs("a", "", policy.Rejected, audit.Audit)},
			"",
			[]string{},
			1,
		},
		"a failure is not a verdict": {
			[]audit.Record{
				runs("a", "", policy.Rejected, audit.Enforce), runs("a", "", policy.Unavailable, audit.Enforce),
				runs("b", "", policy.Pending, audit.Enforce),
			},
			"",
			[]string{"a"},
			1,
		},
		"its volume is refused": {
			[]audit.Record{runs("a", "/models", policy.Rejected, audit.Enforce)}, "", []string{"a"}, 1,
		},
		"it is admitted with its volumes": {
			[]audit.Record{runs("a", "/models", policy.Rejected, audit.Enforce), runs("a", "", policy.Accepted, audit.Enforce)},
			"",
			[]string{},
			1,
		},
		"it ended": {
			[]audit.Record{runs("a", "", policy.Rejected, audit.Enforce), runs("b", "", policy.Rejected, audit.Enforce)},
			"a",
			[]string{"b"},
			2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			count, found := 0, 0
			tracked := newDrift(func(n int) { count = n }, func() { found++ })
			for _, record := range test.records {
				tracked.record(record)
			}
			if test.ended != "" {
				tracked.onlyRunning(func(id string) bool { return id != test.ended })
			}
			if diff := cmp.Diff(test.want, ids(tracked.list())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if count != len(test.want) || found != test.found {
				t.Errorf("counted %d and found %d, want %d and %d", count, found, len(test.want), test.found)
			}
		})
	}
}

func TestDriftIsSinceItsFirstRefusal(t *testing.T) {
	tracked := newDrift(func(int) {}, func() {})
	start := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	for i, reason := range []policy.Reason{policy.Unsigned, policy.Rejected} {
		record := runs("a", "", reason, audit.Enforce)
		record.Time = start.Add(time.Duration(i) * time.Hour)
		if isNew := tracked.record(record); isNew != (i == 0) {
			t.Errorf("refusal %d is new: %t", i, isNew)
		}
	}
	if got := tracked.list(); len(got) != 1 || got[0].Since != start || got[0].Reason != "rejected" {
		t.Errorf("it is %+v", got)
	}
	if !tracked.has("a") || tracked.has("b") || !tracked.knows("a", "", "rejected") || tracked.knows("a", "", "unsigned") {
		t.Error("what is known differs")
	}
}
