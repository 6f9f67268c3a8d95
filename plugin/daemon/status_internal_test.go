package daemon

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/metrics"
)

func TestInstallingAndRemovingTheVerifierIsReported(t *testing.T) {
	directory := t.TempDir()
	program := filepath.Join(directory, "countersign-verifier")
	var log bytes.Buffer
	s := &containerdStatus{
		pullTimeout: func() time.Duration { return time.Second },
		log:         slog.New(slog.NewTextHandler(&log, nil)),
		metrics:     metrics.New(&debug.BuildInfo{}),
	}
	path := filepath.Join(t.TempDir(), "config.toml")
	text := "version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '" + directory + "'\n"
	err := os.WriteFile(path, []byte(text), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if s.config, err = containerd.LoadConfig(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	check := func(always bool, health, logged string) {
		t.Helper()
		log.Reset()
		s.checkVerifier(t.Context(), always)
		answer := httptest.NewRecorder()
		s.metrics.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/healthz", nil))
		if !strings.Contains(answer.Body.String(), "image verifier active: "+health) {
			t.Errorf("health:\n%s\nwant %s", answer.Body, health)
		}
		if logged == "" && log.Len() > 0 || !strings.Contains(log.String(), logged) {
			t.Errorf("log %q, want %q", log.String(), logged)
		}
	}
	check(true, "no ("+directory+" does not contain ", "verifier is not active")
	check(false, "no ("+directory+" does not contain ", "")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	check(false, "yes", "containerd runs the image verifier")
	check(false, "yes", "")
	if err := os.Chmod(program, 0o644); err != nil {
		t.Fatal(err)
	}
	const refused = "no (containerd refuses every pull: image verifier countersign-verifier in "
	check(false, refused, "level=ERROR msg=\"containerd refuses every pull\"")
	check(false, refused, "")
	check(true, refused, "cannot be executed: its mode is 0644")
}

func TestNothingIsReportedWhileContainerdIsUnknown(t *testing.T) {
	var log bytes.Buffer
	s := &containerdStatus{log: slog.New(slog.NewTextHandler(&log, nil)), metrics: metrics.New(&debug.BuildInfo{})}
	s.checkVerifier(t.Context(), true)
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestOtherHostsDirectoriesThanContainerdsAreReported(t *testing.T) {
	one, two, absent := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "absent")
	for name, test := range map[string]struct {
		ours, theirs string
		reported     bool
	}{
		"the same directory":                 {one, one, false},
		"the same directory, with a slash":   {one + "/", one, false},
		"the same list":                      {one + ":" + two, one + ":" + two, false},
		"another directory":                  {one, two, true},
		"another order":                      {one + ":" + two, two + ":" + one, true},
		"one of containerd's two":            {one, one + ":" + two, true},
		"one more, which does not exist":     {one + ":" + absent, one, false},
		"none, where containerd has one":     {"", one, true},
		"neither of different ones is there": {absent, absent + "2", false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			path := filepath.Join(t.TempDir(), "config.toml")
			text := "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '" + test.theirs + "'\n"
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			config, err := containerd.LoadConfig(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			s := &containerdStatus{hosts: test.ours, config: config, log: slog.New(slog.NewTextHandler(&log, nil))}
			for range 2 {
				s.checkHosts(t.Context())
			}
			want := 0
			if test.reported {
				want = 1
			}
			if got := strings.Count(log.String(), "registry.config_path differs from containerd's setting"); got != want {
				t.Errorf("reported %d times, want %d: %s", got, want, &log)
			}
		})
	}
}
