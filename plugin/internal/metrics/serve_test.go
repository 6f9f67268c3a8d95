package metrics_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// wellExcept sets every check to yes, except those in the map.
func wellExcept(m *metrics.Metrics, others map[metrics.Check]metrics.Status) {
	for _, check := range m.Health().Checks {
		if status, ok := others[check.Check]; ok {
			m.Set(check.Check, status, "because of\nthis")
			continue
		}
		m.Set(check.Check, metrics.Yes, "")
	}
}

func ask(m *metrics.Metrics, path string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, http.NoBody)
	if len(header) > 0 {
		request.Header.Set("Accept", header[0])
	}
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, request)
	return answer
}

func TestHealthIsRegistrationAndReadinessIsEverything(t *testing.T) {
	for name, test := range map[string]struct {
		others          map[metrics.Check]metrics.Status
		healthy, ready  int
		line, condition string
	}{
		"all is well": {nil, 200, 200, "required by containerd: yes, since 2000-01-01T00:00:00Z\n", ""},
		"not registered": {
			map[metrics.Check]metrics.Status{metrics.Registered: metrics.No},
			503, 503,
			"registered with NRI: no (because of this), since 2000-01-01T00:00:00Z\n",
			`countersign_health_check{check="registered",status="no"} 1`,
		},
		"not required": {
			map[metrics.Check]metrics.Status{metrics.Required: metrics.No},
			200, 503,
			"required by containerd: no (because of this), since 2000-01-01T00:00:00Z\n",
			`countersign_health_check{check="required",status="no"} 1`,
		},
		"not known whether it is required": {
			map[metrics.Check]metrics.Status{metrics.Required: metrics.Unknown},
			200, 503,
			"required by containerd: unknown (because of this), since 2000-01-01T00:00:00Z\n",
			`countersign_health_check{check="required",status="unknown"} 1`,
		},
		"a key file cannot be used": {
			map[metrics.Check]metrics.Status{metrics.Keys: metrics.No},
			200, 503,
			"key files usable: no (because of this), since 2000-01-01T00:00:00Z\n",
			`countersign_health_check{check="keys",status="yes"} 0`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := metrics.New(nil)
				wellExcept(m, test.others)
				if got := ask(m, "/healthz"); got.Code != test.healthy || !strings.Contains(got.Body.String(), test.line) {
					t.Errorf("/healthz answers %d:\n%s\nwant %d with %s", got.Code, got.Body, test.healthy, test.line)
				}
				if got := ask(m, "/readyz"); got.Code != test.ready || !strings.Contains(got.Body.String(), test.line) {
					t.Errorf("/readyz answers %d:\n%s\nwant %d with %s", got.Code, got.Body, test.ready, test.line)
				}
				if got := ask(m, "/metrics").Body.String(); !strings.Contains(got, test.condition) {
					t.Errorf("no series %s", test.condition)
				}
			})
		})
	}
}

func TestANoThatTheOperatorWantsDoesNotPreventReadiness(t *testing.T) {
	for name, test := range map[string]struct {
		status metrics.Status
		wanted bool
		want   int
	}{
		"yes":                             {metrics.Yes, false, 200},
		"no, and it is wanted":            {metrics.No, true, 200},
		"no, and it is not wanted":        {metrics.No, false, 503},
		"unknown, and no would be wanted": {metrics.Unknown, true, 503},
	} {
		t.Run(name, func(t *testing.T) {
			m := metrics.New(nil)
			wellExcept(m, map[metrics.Check]metrics.Status{metrics.Required: test.status})
			m.Optional(metrics.Required, func() bool { return test.wanted })
			got := ask(m, "/readyz")
			if line := "required by containerd: " + test.status.String(); got.Code != test.want ||
				!strings.Contains(got.Body.String(), line) {
				t.Errorf("/readyz answers %d:\n%s\nwant %d with %s", got.Code, got.Body, test.want, line)
			}
		})
	}
}

func TestNothingIsClaimedBeforeItIsChecked(t *testing.T) {
	for _, check := range metrics.New(nil).Health().Checks {
		if check.Status != "unknown" || check.Cause == "" {
			t.Errorf("before it is checked, %s is %s (%s)", check.Check, check.Status, check.Cause)
		}
	}
}

func TestHealthSaysHowImagesAreFound(t *testing.T) {
	m := metrics.New(nil)
	const series = `countersign_images_found_by{found_by="layers"} `
	if got := ask(m, "/metrics").Body.String(); !strings.Contains(got, series+"0") {
		t.Errorf("before a registration there is no series %s0", series)
	}
	m.SetRuntime(metrics.Runtime{Name: "containerd 2.3.7", FoundBy: policy.FoundByLayers})
	if got := ask(m, "/healthz").Body.String(); !strings.Contains(got, "images found by: layers (containerd 2.3.7)\n") {
		t.Errorf("/healthz says\n%s", got)
	}
	if got := ask(m, "/metrics").Body.String(); !strings.Contains(got, series+"1") {
		t.Errorf("there is no series %s1", series)
	}
	const fields = `"runtime":"containerd 2.3.7","found_by":"layers"`
	if got := ask(m, "/healthz?format=json").Body.String(); !strings.Contains(got, fields) {
		t.Errorf("/healthz says %s", got)
	}
}

func TestHealthHasTheDrift(t *testing.T) {
	m := metrics.New(nil)
	want := func(drift int, line string) {
		t.Helper()
		if got := m.Health().Drift; got != drift {
			t.Errorf("the drift is %d, want %d", got, drift)
		}
		body := ask(m, "/healthz").Body.String()
		if strings.Contains(body, "drift: ") != (line != "") || !strings.Contains(body, line) {
			t.Errorf("/healthz says\n%s\nwant %q", body, line)
		}
	}
	m.SetRuntime(metrics.Runtime{})
	want(0, "")
	m.SetDrift(2)
	want(2, "drift: 2 running containers that the policy refuses")
	if got := ask(m, "/healthz?format=json").Body.String(); !strings.Contains(got, `"drift":2}`) {
		t.Errorf("/healthz says %s", got)
	}
	m.SetRuntime(metrics.Runtime{}) // A registration changes nothing: the containers run.
	want(2, "drift: 2 running containers that the policy refuses")
	m.SetDrift(0)
	want(0, "")
}

func TestHealthIsServedAsJSONOnRequest(t *testing.T) {
	m := metrics.New(nil)
	wellExcept(m, map[metrics.Check]metrics.Status{metrics.AuditFile: metrics.Unknown})
	for _, answer := range []*httptest.ResponseRecorder{
		ask(m, "/readyz?format=json"), ask(m, "/readyz", "application/json"), ask(m, "/healthz?format=json"),
	} {
		var report metrics.Report
		if err := json.Unmarshal(answer.Body.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		last := report.Checks[len(report.Checks)-1]
		if !report.Healthy || report.Ready || len(report.Checks) != 9 || last.Check != metrics.AuditFile ||
			last.Status != "unknown" || last.Cause != "because of this" || last.Since.IsZero() {
			t.Errorf("the report is %+v", report)
		}
	}
}

func TestAnAnswerIsAsOldAsItsLastChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(nil)
		status := metrics.Yes
		m.Probe(metrics.AuditFile, func() (metrics.Status, string) { return status, "now" })
		since := func() string {
			checks := m.Health().Checks
			return checks[len(checks)-1].Since.Format(time.TimeOnly)
		}
		if got := since(); got != "00:00:00" {
			t.Errorf("at first it is from %s", got)
		}
		elapse(time.Minute)
		if got := since(); got != "00:00:00" {
			t.Errorf("unchanged it is from %s", got)
		}
		if status = metrics.No; since() != "00:01:00" {
			t.Errorf("changed it is from %s", since())
		}
	})
}

// elapse advances the clock of a synctest bubble.
func elapse(d time.Duration) { <-time.After(d) }

func TestServesUntilTheContextEnds(t *testing.T) {
	m := metrics.New(nil)
	listener, err := metrics.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, listener) }()

	url := "http://" + listener.Addr().String()
	if status, _ := get(t, url+"/metrics"); status != http.StatusOK {
		t.Errorf("/metrics answered %d", status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	if connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
		connection.Close()
		t.Error("the port is still open")
	}
}

func TestBrokenListenerEndsServing(t *testing.T) {
	listener, err := metrics.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := metrics.New(nil).Serve(t.Context(), listener); err == nil {
		t.Error("serving on a closed listener ended without an error")
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for name, test := range map[string]struct{ address, want string }{
		"every interface":        {"0.0.0.0:0", "not a loopback address"},
		"no host":                {":0", "not a loopback address"},
		"every interface, IPv6":  {"[::]:0", "not a loopback address"},
		"no port":                {"127.0.0.1", "missing port"},
		"another machine's":      {"192.0.2.1:0", "not a loopback address"},
		"a port that is a word":  {"127.0.0.1:http-alt-x", "unknown port"},
		"a port that is too big": {"127.0.0.1:65536", "invalid port"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := metrics.Listen(t.Context(), test.address)
			if err == nil {
				listener.Close()
				t.Fatal("listens")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.address) {
				t.Errorf("error %q, want one with %q and the address", err, test.want)
			}
		})
	}
}

func TestPortInUseIsReported(t *testing.T) {
	first, err := metrics.Listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := metrics.Listen(t.Context(), first.Addr().String())
	if err == nil {
		second.Close()
		t.Fatal("two listen on one port")
	}
	if !strings.Contains(err.Error(), "address already in use; is another countersign daemon running?") {
		t.Errorf("error %q", err)
	}
}
