package main

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

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/metrics"
)

func TestAVerifierThatComesOrGoesIsNoticed(t *testing.T) {
	directory := t.TempDir()
	program := filepath.Join(directory, "countersign-verifier")
	var log bytes.Buffer
	d := &daemon{
		live:    newLive(&conf.Config{Pull: conf.Pull{Timeout: time.Second}}),
		logger:  slog.New(slog.NewTextHandler(&log, nil)),
		metrics: metrics.New(&debug.BuildInfo{}),
	}
	found := &standing{merged: merged(t,
		"version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '"+directory+"'\n", "")}
	look := func(anyway bool, health, logged string) {
		t.Helper()
		log.Reset()
		d.lookAtVerifier(t.Context(), found, anyway)
		answer := httptest.NewRecorder()
		d.metrics.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/healthz", nil))
		if !strings.Contains(answer.Body.String(), "asked about pulls: "+health) {
			t.Errorf("health:\n%s\nwant %s", answer.Body, health)
		}
		if logged == "" && log.Len() > 0 || !strings.Contains(log.String(), logged) {
			t.Errorf("log %q, want %q", log.String(), logged)
		}
	}
	look(true, "no (nothing in ", "does not ask")
	look(false, "no (nothing in ", "")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	look(false, "yes", "containerd asks about pulls")
	look(false, "yes", "")
	if err := os.Chmod(program, 0o644); err != nil {
		t.Fatal(err)
	}
	const refused = "no (containerd refuses every pull: image verifier countersign-verifier in "
	look(false, refused, "level=ERROR msg=\"containerd refuses every pull\"")
	look(false, refused, "")
	look(true, refused, "cannot be executed: its mode is 0644")
}

func TestNothingIsSaidOfAContainerdThatIsNotKnown(t *testing.T) {
	var log bytes.Buffer
	d := &daemon{logger: slog.New(slog.NewTextHandler(&log, nil)), metrics: metrics.New(&debug.BuildInfo{})}
	d.lookAtVerifier(t.Context(), &standing{}, true)
	if log.Len() > 0 {
		t.Error(log.String())
	}
}
