package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// TestTheRecorderWritesEveryRecordBeforeItStops answers pulls and containers while the daemon stops.
func TestTheRecorderWritesEveryRecordBeforeItStops(t *testing.T) {
	var output bytes.Buffer
	recorder := newRecorder(&auditFile{}, slog.New(slog.NewJSONHandler(&output, nil)), metrics.New(nil))
	stop := recorder.start(t.Context())
	const each = 100
	for range each {
		recorder.record(t.Context(), nri.Report{Verdict: policy.Verdict{Reason: policy.Unsigned}})
		recorder.recordPull(audit.Pull{Verdict: policy.Verdict{Reason: policy.Unsigned}})
	}
	stop()
	for _, message := range []string{`"msg":"decision"`, `"msg":"pull"`} {
		if got := strings.Count(output.String(), message); got != each {
			t.Errorf("%d records with %s, want %d", got, message, each)
		}
	}
}

// TestDriftIsRecordedLoggedAndCounted: no caller receives the verdict about a running container.
func TestDriftIsRecordedLoggedAndCounted(t *testing.T) {
	var output bytes.Buffer
	counters := metrics.New(nil)
	recorder := newRecorder(&auditFile{}, slog.New(slog.NewJSONHandler(&output, nil)), counters)
	stop := recorder.start(t.Context())
	denied := policy.Verdict{Reason: policy.Unsigned}
	for _, report := range []nri.Report{
		{Stage: nri.Running, Verdict: denied, ContainerInfo: nri.ContainerInfo{Pod: "drifts", FoundBy: policy.FoundByConfig}},
		{Stage: nri.Running, Verdict: denied, ContainerInfo: nri.ContainerInfo{Pod: "audited"}, Audit: true},
		{Stage: nri.Start, Verdict: denied, ContainerInfo: nri.ContainerInfo{Pod: "refused"}},
	} {
		recorder.record(t.Context(), report)
	}
	stop()
	for text, want := range map[string]int{
		`"msg":"decision"`: 3, `"drift":true`: 1, `"pod":"drifts"`: 2, `"found_by":"config digest"`: 1,
		`"msg":"drift: a container runs that the policy refuses"`: 1,
	} {
		if got := strings.Count(output.String(), text); got != want {
			t.Errorf("%s is there %d times, want %d:\n%s", text, got, want, &output)
		}
	}
	families, err := counters.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "countersign_drift_total" && family.GetMetric()[0].GetCounter().GetValue() != 1 {
			t.Errorf("counted %v, want 1", family.GetMetric())
		}
	}
}
