package metrics_test

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// serve returns the address at which figures are served.
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

// expect compares the families called by these names, whole, with what is served.
func expect(t *testing.T, m *metrics.Metrics, want string, names ...string) {
	t.Helper()
	if err := testutil.ScrapeAndCompare(serve(t, m)+"/metrics", strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestEveryDecisionThereCanBeStartsAtZero(t *testing.T) {
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
	if got, want := strings.Count(body, "\ncountersign_decisions_total{"), 4*len(policy.Reasons()); got != want {
		t.Errorf("%d series, want %d: each reason, for two stages and two modes", got, want)
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
		"# HELP countersign_audit_records_dropped_total Decisions that are missing from the audit log, because it "+
			"could not be written.\n# TYPE countersign_audit_records_dropped_total counter\n"+
			"countersign_audit_records_dropped_total 1\n",
		"countersign_audit_records_dropped_total")
}

func TestGaugesSayHowTheDaemonStands(t *testing.T) {
	const names = "countersign_nri_registered countersign_required countersign_policy_documents " +
		"countersign_policy_load_failures countersign_pulls_verified countersign_sandbox_admitted"
	for name, test := range map[string]struct {
		set  func(*metrics.Metrics)
		want []string
	}{
		"at first nothing is known": {
			func(*metrics.Metrics) {},
			[]string{"0", "0", "0", "0", "0", "0"},
		},
		"registered, required, policies loaded": {
			func(m *metrics.Metrics) {
				m.Registered(true, "")
				m.Required(true, "")
				m.Verified(true, "")
				m.Sandbox(true, "")
				m.PolicyLoaded(12, 1)
			},
			[]string{"1", "1", "12", "1", "1", "1"},
		},
		"the connection was lost": {
			func(m *metrics.Metrics) {
				m.Registered(true, "")
				m.Registered(false, "connection reset")
			},
			[]string{"0", "0", "0", "0", "0", "0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := metrics.New(nil)
			test.set(m)
			_, body := get(t, serve(t, m)+"/metrics")
			for i, gauge := range strings.Fields(names) {
				if line := gauge + " " + test.want[i]; !strings.Contains(body, "\n"+line+"\n") {
					t.Errorf("no series %s", line)
				}
			}
		})
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

// TestQuantilesAreExact reads quantiles off the buckets as Prometheus's histogram_quantile does.
func TestQuantilesAreExact(t *testing.T) {
	for _, took := range []time.Duration{
		105 * time.Microsecond, 260 * time.Microsecond, 700 * time.Microsecond, 1900 * time.Microsecond,
	} {
		m := metrics.New(nil)
		for range 100 {
			m.Answered(took)
		}
		_, body := get(t, serve(t, m)+"/metrics")
		for _, q := range []float64{0.5, 0.99} {
			got := quantile(t, q, body)
			if math.Abs(got-took.Seconds()) > took.Seconds()/10 {
				t.Errorf("quantile %v of answers that all took %v reads %v s", q, took, got)
			}
		}
	}
}

func quantile(t *testing.T, q float64, body string) float64 {
	t.Helper()
	bucket := regexp.MustCompile(`countersign_callback_seconds_bucket\{le="([^"]+)"\} (\d+)`)
	var lower, below float64
	matches := bucket.FindAllStringSubmatch(body, -1)
	total, _ := strconv.ParseFloat(matches[len(matches)-1][2], 64)
	for _, match := range matches {
		upper, _ := strconv.ParseFloat(match[1], 64)
		count, _ := strconv.ParseFloat(match[2], 64)
		if count >= q*total {
			return lower + (upper-lower)*(q*total-below)/(count-below)
		}
		lower, below = upper, count
	}
	t.Fatalf("no quantile in %s", body)
	return 0
}

func TestFiguresFollowPrometheusConventions(t *testing.T) {
	_, body := get(t, serve(t, metrics.New(nil))+"/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
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
	one.Registered(true, "")
	one.Answered(time.Second)
	_, body := get(t, serve(t, other)+"/metrics")
	for _, series := range []string{"countersign_nri_registered 0", "countersign_callback_seconds_count 0"} {
		if !strings.Contains(body, "\n"+series+"\n") {
			t.Errorf("no series %s", series)
		}
	}
}
