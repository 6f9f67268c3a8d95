package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
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

func TestARecordContainsEverything(t *testing.T) {
	got := written(t, slog.LevelInfo, audit.Record{
		Time:  time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		Took:  312 * time.Microsecond,
		Stage: audit.Creation,
		Mode:  audit.Enforce,

		FoundBy: policy.FoundByLayers,
		Question: policy.Question{
			Namespace: "prod", Reference: "app:v1", Config: config,
		},
		Verdict: policy.Verdict{
			Outcome: policy.Admit, Reason: policy.Accepted, Reference: "registry.example/app:v1", Digest: manifest,
			Document: "/etc/countersign/policies/prod.json", Scope: "registry.example",
			Detail: "signed by\n/etc/keys/prod.pub", Cached: true,
		},
		Pod: "app-0", PodUID: "6f1c", Container: "app", ContainerID: "c0ffee", Volume: "/model",
	})
	want := map[string]any{
		"time": "2026-11-22T10:00:00Z", "level": "INFO", "msg": "decision",
		"outcome": "admit", "reason": "accepted", "stage": "creation", "mode": "enforce", "would_deny": false,
		"drift": false, "found_by": "layers",
		"namespace": "prod", "pod": "app-0", "pod_uid": "6f1c", "container": "app", "container_id": "c0ffee",
		"volume":    "/model",
		"reference": "app:v1", "judged_reference": "registry.example/app:v1",
		"digest": manifest, "config_digest": config,
		"document": "/etc/countersign/policies/prod.json", "scope": "registry.example",
		"detail": "signed by\n/etc/keys/prod.pub", "took_seconds": 0.000312, "schema": 1.0, "remembered": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestEveryRecordHasEveryKey(t *testing.T) {
	full := written(t, slog.LevelInfo, audit.Record{Time: time.Unix(1, 0), Pod: "app-0"})
	if len(full) != 26 {
		t.Errorf("an empty record has %d keys, want 26: %v", len(full), full)
	}
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
