package metrics_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// serve returns the address at which metrics are served.
func serve(t *testing.T, m *metrics.Metrics) (url string) {
	t.Helper()
	server := httptest.NewServer(m.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// expect compares complete metric families, by name, with what is served.
func expect(t *testing.T, m *metrics.Metrics, want string, names ...string) {
	t.Helper()
	if err := testutil.ScrapeAndCompare(serve(t, m)+"/metrics", strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestEveryPossibleDecisionStartsAtZero(t *testing.T) {
	_, body := get(t, serve(t, metrics.New(nil))+"/metrics")
	for _, reason := range policy.Reasons() {
		outcome := "deny"
		if reason == policy.Accepted {
			outcome = "admit"
		}
		series := `countersign_decisions_total{mode="enforce",outcome="` + outcome + `",reason="` + string(reason) +
			`",stage="creation"} 0`
		if !strings.Contains(body, series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
	if got, want := strings.Count(body, "\ncountersign_decisions_total{"), 6*len(policy.Reasons()); got != want {
		t.Errorf("%d series, want %d: each reason, for three stages and two modes", got, want)
	}
}

func TestDecisionsAddNoSeriesAndAreCountedOnce(t *testing.T) {
	m := metrics.New(nil)
	url := serve(t, m) + "/metrics"
	_, before := get(t, url)
	denied := policy.Verdict{Outcome: policy.Deny, Reason: policy.Unsigned}
	for _, r := range []audit.Record{
		{Verdict: denied, Stage: audit.Creation, Mode: audit.Enforce},
		{Verdict: denied, Stage: audit.Creation, Mode: audit.Enforce},
		{Verdict: denied, Stage: audit.Creation, Mode: audit.Audit},
		{Verdict: denied, Stage: audit.Running, Mode: audit.Enforce},
	} {
		m.Decided(r)
	}
	_, after := get(t, url)
	for _, series := range []string{
		`countersign_decisions_total{mode="enforce",outcome="deny",reason="unsigned",stage="creation"} 2`,
		`countersign_decisions_total{mode="audit",outcome="admit",reason="unsigned",stage="creation"} 1`,
		`countersign_decisions_total{mode="enforce",outcome="admit",reason="unsigned",stage="running"} 1`,
		`countersign_would_deny_total 2`,
	} {
		if !strings.Contains(after, "\n"+series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
	const name = "\ncountersign_decisions_total{"
	if strings.Count(before, name) != strings.Count(after, name) {
		t.Error("decisions made new series")
	}
}

func TestLostRecordsAreCounted(t *testing.T) {
	m := metrics.New(nil)
	m.RecordDropped()
	expect(t, m,
		"# HELP countersign_audit_records_dropped_total Decisions and pulls that are missing from the audit log, "+
			"or from its file, because they could not be written.\n# TYPE countersign_audit_records_dropped_total counter\n"+
			"countersign_audit_records_dropped_total 1\n",
		"countersign_audit_records_dropped_total")
}

func TestGaugesShowTheCurrentConfiguration(t *testing.T) {
	m := metrics.New(nil)
	m.Enforcing(true, map[string]bool{"dev": false, "gone": true})
	m.Enforcing(false, map[string]bool{"dev": false, "prod": true})
	m.PolicyLoaded(12, 1)
	m.ConfigRead(true)
	m.ConfigRead(false)
	m.Register(metrics.Gauges{
		PolicyGood: func() time.Time { return time.Unix(1234, 0) }, EvidenceBytes: func() int64 { return 77 },
	})
	_, body := get(t, serve(t, m)+"/metrics")
	for _, line := range []string{
		`countersign_enforcing{namespace="*"} 0`, `countersign_enforcing{namespace="dev"} 0`,
		`countersign_enforcing{namespace="prod"} 1`, `countersign_policy_documents 12`,
		`countersign_policy_documents_invalid 1`, `countersign_config_last_reload_successful 0`,
		`countersign_policy_last_reload_success_timestamp_seconds 1234`, `countersign_evidence_bytes 77`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no series %s", line)
		}
	}
	if strings.Contains(body, `namespace="gone"`) || strings.Contains(body, "reload_success_timestamp_seconds 0\n") {
		t.Errorf("the figures are:\n%s", body)
	}
}

func TestBuildInfoNamesTheProgram(t *testing.T) {
	const head = "# HELP countersign_build_info 1, with the program's version and commit, and the version of Go.\n" +
		"# TYPE countersign_build_info gauge\n"
	build := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.1.0"}}
	build.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: "c0ffee"}}
	expect(t, metrics.New(build),
		head+`countersign_build_info{go_version="go1.26.8",revision="c0ffee",version="v0.1.0"} 1`+"\n",
		"countersign_build_info")
	expect(t, metrics.New(nil),
		head+`countersign_build_info{go_version="unknown",revision="unknown",version="unknown"} 1`+"\n",
		"countersign_build_info")
}

func TestTheCallbackHistogramHasFineNativeAndFewClassicBuckets(t *testing.T) {
	m := metrics.New(nil)
	m.Answered(260 * time.Microsecond)
	_, body := get(t, serve(t, m)+"/metrics")
	if got := strings.Count(body, "\ncountersign_callback_duration_seconds_bucket{"); got == 0 || got > 20 {
		t.Errorf("%d classic buckets, want 1 to 20", got)
	}
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "countersign_callback_duration_seconds" {
			continue
		}
		// Schema 3 is a factor of 2^(1/8), below 1.1.
		if got := family.GetMetric()[0].GetHistogram(); got.GetSchema() < 3 || len(got.GetPositiveDelta()) != 1 {
			t.Errorf("the native histogram is %v", got)
		}
		return
	}
	t.Error("there is no histogram of the callback")
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	m := metrics.New(nil)
	m.Enforcing(true, nil)
	m.Register(metrics.Gauges{PolicyGood: time.Now, EvidenceBytes: func() int64 { return 1 }})
	problems, err := testutil.GatherAndLint(prometheus.GathererFunc(m.Gather))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := metrics.New(nil)
	r := audit.Record{Stage: audit.Creation, Mode: audit.Enforce}
	r.Verdict.Reason = policy.Unsigned
	allocations := testing.AllocsPerRun(100, func() {
		m.Decided(r)
		m.Answered(time.Millisecond)
	})
	if allocations != 0 {
		t.Errorf("counting one decision allocates %v times, with the runtime waiting", allocations)
	}
}

func TestTwoDaemonsInOneProcessShareNothing(t *testing.T) {
	one, other := metrics.New(nil), metrics.New(nil)
	one.Set(metrics.Registered, metrics.Yes, "")
	one.Answered(time.Second)
	_, body := get(t, serve(t, other)+"/metrics")
	for _, series := range []string{"countersign_nri_registered 0", "countersign_callback_duration_seconds_count 0"} {
		if !strings.Contains(body, "\n"+series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
}
