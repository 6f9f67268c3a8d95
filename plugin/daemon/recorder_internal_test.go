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
	recorder := newRecorder(audit.New(slog.New(slog.NewJSONHandler(&output, nil))), metrics.New(nil))
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
