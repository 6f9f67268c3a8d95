package monitoring_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// picture is the drawing of the dashboard in the docs. Where COUNTERSIGN_UPDATE_DOCS is set, TestQueries writes it:
// make dashboard.
const picture = "../../docs/dashboard.svg"

// TestThePictureShowsTheDashboard: every panel of the dashboard is in the picture in the docs, and has data.
func TestThePictureShowsTheDashboard(t *testing.T) { wantPanels(t, picture) }

func wantPanels(t *testing.T, path string) {
	t.Helper()
	texts := textsOf(t, path)
	for _, panel := range readPanels(t) {
		if !slices.Contains(texts, panel.Title) {
			t.Errorf("%s lacks the panel %q: run make dashboard", path, panel.Title)
		}
	}
	if slices.Contains(texts, "No data") {
		t.Errorf("%s has a panel without data", path)
	}
}

// textsOf returns the texts in an SVG file.
func textsOf(t *testing.T, path string) (texts []string) {
	t.Helper()
	file := rig.Must(os.Open(path))(t)
	defer file.Close()
	decoder := xml.NewDecoder(file)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		rig.OK(t, err)
		if text, isText := token.(xml.CharData); isText {
			texts = append(texts, strings.TrimSpace(string(text)))
		}
	}
}

// drawn draws the dashboard while a node works: for a few rounds, or five minutes of them for the docs.
func (p *prometheus) drawn(t *testing.T, on *work) {
	t.Helper()
	path, began := filepath.Join(t.TempDir(), "dashboard.svg"), time.Now()
	more := func(round int) bool { return round < 2 }
	if os.Getenv("COUNTERSIGN_UPDATE_DOCS") != "" {
		path = rig.Must(filepath.Abs(picture))(t)
		more = func(int) bool { return time.Since(began) < 5*time.Minute }
	}
	on.prepare(t)
	for round := 0; more(round); round++ {
		on.round(t, round)
	}
	on.drift(t)
	for _, query := range []string{
		`increase(countersign_drift_total[1d]) > 0`, `increase(countersign_would_deny_total[1d]) > 0`,
		`increase(countersign_decisions_total{outcome="deny",reason="rejected"}[1d]) > 0`,
		`increase(countersign_pulls_total[1d]) > 0`, `countersign_health_check{status="no"} == 1`,
	} {
		rig.Eventually(t, query, func() error { return p.has(t, query) })
	}
	const module = "../tools/dashboard"
	command := exec.CommandContext(t.Context(), "go", "run", ".", "-output", path, "-rate-interval", "20s",
		"-dashboard", rig.Must(filepath.Abs(filepath.Join(directory, "dashboard.json")))(t),
		"-prometheus", "http://"+p.address, "-since", time.Since(began).Round(time.Second).String())
	command.Dir, command.Env = module, append(os.Environ(), "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("drawing the dashboard: %v\n%s", err, output)
	}
	wantPanels(t, path)
}

// work is what a node does while its dashboard is drawn.
type work struct {
	*rig.Rig
	signed, unsigned, other node.Pushed
}

// prepare pushes an image that another key has signed, and runs a container that a later policy refuses.
func (w *work) prepare(t *testing.T) {
	t.Helper()
	w.other = w.Push(t, "shop/other:v1")
	rig.OK(t, w.Tools.Sign(t.Context(), node.Signing{Image: w.other, Key: w.NewKey(t, "other"), OldFormat: true}))
	w.Write(t, "legacy", node.Policy{Default: node.Accept()})
	w.BecomesRunnable(t, "legacy", w.unsigned)
	w.Begin(t, "legacy", w.unsigned)
}

// round admits some containers, refuses others, reports one that would be refused, and pulls an image.
func (w *work) round(t *testing.T, number int) {
	t.Helper()
	for range 1 + number%5 {
		pod := w.Begin(t, "prod", w.signed)
		rig.OK(t, pod.Remove(t.Context()))
	}
	if number%3 == 0 {
		w.Refused(t, "prod", w.unsigned, "unsigned")
	}
	if number%4 < 2 {
		w.Refused(t, "prod", w.other, "rejected")
	}
	pod := w.Begin(t, "staging", w.unsigned)
	rig.OK(t, pod.Remove(t.Context()))
	w.Pull(t, w.Push(t, fmt.Sprintf("shop/release:v%d", number)))
}

// drift makes the policy refuse the container that prepare has started.
func (w *work) drift(t *testing.T) {
	t.Helper()
	w.Write(t, "legacy", node.Policy{Default: node.Reject()})
}
