package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

func TestAPullsRecordContainsEverythingAtEveryLevel(t *testing.T) {
	var out bytes.Buffer
	log := audit.New(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})))
	err := log.WritePull(t.Context(), audit.Pull{
		Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Took: 312 * time.Millisecond,
		Name: "registry.example/app:v1", Digest: manifest, Namespace: "prod", Pod: "web-0",
		Outcome: policy.Admit, Mode: audit.Audit,
		Verdict: policy.Verdict{
			Reason: policy.Unsigned, Reference: "registry.example/app:v1", Digest: config,
			Document: "/etc/containers/policy.json", Scope: "registry.example", Detail: "no signatures",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"time": "2026-11-22T10:00:00Z", "level": "WARN", "msg": "pull",
		"outcome": "admit", "reason": "unsigned", "mode": "audit", "would_deny": true,
		"namespace": "prod", "pod": "web-0",
		"reference": "registry.example/app:v1", "judged_reference": "registry.example/app:v1",
		"digest": manifest, "judged_digest": config,
		"document": "/etc/containers/policy.json", "scope": "registry.example", "detail": "no signatures",
		"took_seconds": 0.312, "schema": 1.0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestADocumentThatCannotBeUsedRefusesPullsOfItsNamespaceOnly(t *testing.T) {
	pull := audit.Pull{Verdict: policy.Verdict{Reason: policy.InvalidPolicy}}
	if pull.Final() {
		t.Error("it refuses a pull for all namespaces")
	}
	if pull.Namespace = "prod"; !pull.Final() {
		t.Error("it does not refuse a pull for its namespace")
	}
	pull.Verdict = policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
	if pull.Final() {
		t.Error("an accepted pull is refused")
	}
}

func TestAnUndeterminedPullWouldNotBeDenied(t *testing.T) {
	for reason, want := range map[policy.Reason]bool{
		policy.Accepted: false, policy.Rejected: true, policy.Unsigned: true, policy.Pending: false,
		policy.Unavailable: false, policy.InvalidPolicy: false, policy.Internal: false, policy.BadRequest: false,
	} {
		pull := audit.Pull{Outcome: policy.Admit, Verdict: policy.Verdict{Reason: reason}}
		if pull.WouldDeny() != want {
			t.Errorf("admitted with %s: would deny is %t, want %t", reason, pull.WouldDeny(), want)
		}
		if pull.Outcome = policy.Deny; pull.WouldDeny() {
			t.Errorf("refused with %s: it would not only have been", reason)
		}
	}
}
