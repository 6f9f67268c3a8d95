package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/countersign/countersign/plugin/internal/audit"
)

const (
	config   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	manifest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// written returns the audit record that a daemon writes at a log level.
func written(t *testing.T, level slog.Level, r audit.Record) map[string]any {
	t.Helper()
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
	if err := audit.New(logger).Write(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != 1 {
		t.Fatalf("a decision is %d lines, want one: %s", lines, out.Bytes())
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLogLevelDoesNotSilenceTheAudit(t *testing.T) {
	got := written(t, slog.LevelError, audit.Record{Pod: "app-0"})
	if got["msg"] != "decision" || got["pod"] != "app-0" {
		t.Errorf("at level error the record is %v", got)
	}
}

func TestAttributesOfTheLoggerAreKept(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil)).With(slog.String("node", "n1"))
	if err := audit.New(logger).Write(t.Context(), audit.Record{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out.Bytes(), []byte(`"node":"n1"`)) {
		t.Errorf("the record lacks the logger's attributes: %s", out.Bytes())
	}
}

var errFull = errors.New("no space left on device")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestLostRecordIsReported(t *testing.T) {
	log := audit.New(slog.New(slog.NewJSONHandler(full{}, nil)))
	if err := log.Write(t.Context(), audit.Record{}); !errors.Is(err, errFull) {
		t.Errorf("writing to a full disk gave %v", err)
	}
}
