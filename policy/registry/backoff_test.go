package registry_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy/registry"
)

// pausedFor returns how long a host is paused after answers.
func pausedFor(t *testing.T, answers, status int, retryAfter string) time.Duration {
	t.Helper()
	var took time.Duration
	synctest.Test(t, func(*testing.T) {
		pauses, start := registry.NewPauses(), time.Now()
		for range answers {
			_ = pauses.Answered("registry.example", status, retryAfter)
		}
		for pauses.MayAsk("registry.example") != nil {
			time.Sleep(10 * time.Millisecond)
		}
		took = time.Since(start)
		if pauses.MayAsk("other.example") != nil {
			took = -1
		}
	})
	return took
}

func TestAHostIsPausedAfterFailures(t *testing.T) {
	for name, test := range map[string]struct {
		answers, status int
		retryAfter      string
		least, most     time.Duration
	}{
		"it answers":                         {9, 200, "", 0, 0},
		"it has nothing":                     {9, 404, "7", 0, 0},
		"it wants to be left alone":          {1, 429, "", 750 * time.Millisecond, time.Second},
		"for a time that it names":           {1, 429, "40", 40 * time.Second, 40 * time.Second},
		"for a time that it names, with 503": {1, 503, "40", 40 * time.Second, 40 * time.Second},
		"for a year":                         {1, 429, "31536000", time.Minute, time.Minute},
		"time and again":                     {4, 429, "", 6 * time.Second, 8 * time.Second},
		"it has failed":                      {5, 500, "", 0, 0},
		"it has failed, and names a time":    {1, 500, "40", 0, 0},
		"it goes on failing":                 {6, 500, "", 750 * time.Millisecond, time.Second},
		"it goes on and on failing":          {9, 502, "", 6 * time.Second, 8 * time.Second},
		"it never does anything but fail":    {99, 503, "", 11 * time.Second, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got := pausedFor(t, test.answers, test.status, test.retryAfter)
			if got < test.least || got > test.most+10*time.Millisecond {
				t.Errorf("for %v, not for %v to %v", got, test.least, test.most)
			}
		})
	}
}

func TestAnyOtherAnswerEndsTheFailures(t *testing.T) {
	pauses := registry.NewPauses()
	for range 5 {
		for range 5 {
			_ = pauses.Answered("registry.example", 500, "")
		}
		_ = pauses.Answered("registry.example", 404, "")
	}
	if err := pauses.MayAsk("registry.example"); err != nil || pauses.Hosts() != 0 {
		t.Errorf("%v; %d hosts are remembered", err, pauses.Hosts())
	}
}

func TestTheNumberOfFailingHostsIsBounded(t *testing.T) {
	pauses := registry.NewPauses()
	for i := range 5000 {
		_ = pauses.Answered(fmt.Sprint(i), 429, "60")
	}
	if hosts := pauses.Hosts(); hosts > 1024 {
		t.Errorf("%d are", hosts)
	}
}

// TestInventedRegistriesDoNotEndAnothersPause, even if all of them request the longest pause.
func TestInventedRegistriesDoNotEndAnothersPause(t *testing.T) {
	pauses := registry.NewPauses()
	_ = pauses.Answered("registry.example", 429, "30")
	for i := range 5000 {
		_ = pauses.Answered(fmt.Sprintf("minted-%d.evil.example", i), 429, "60")
	}
	if pauses.MayAsk("registry.example") == nil {
		t.Error("the registry's pause ended early")
	}
	if hosts := pauses.Hosts(); hosts > 1024 {
		t.Errorf("%d hosts are remembered", hosts)
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := parseTime(t, "Sun, 22 Nov 2026 12:00:00 GMT")
	for header, want := range map[string]string{
		"":                              "0s",
		"0":                             "0s",
		"7":                             "7s",
		"-7":                            "0s",
		"99999999999":                   "1m0s",
		"9223372036854775807":           "1m0s",
		"soon":                          "0s",
		"Sun, 22 Nov 2026 12:00:30 GMT": "30s",
		"Sun, 22 Nov 2026 13:00:00 GMT": "1m0s",
		"Sun, 22 Nov 2020 12:00:30 GMT": "0s",
	} {
		if got := registry.RetryAfter(header, now).String(); got != want {
			t.Errorf("%q is %s, not %s", header, got, want)
		}
	}
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	parsed, err := http.ParseTime(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
