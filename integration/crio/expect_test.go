package crio_test

import (
	"cmp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// expectation is the expected result for a pod, and the rule that causes it.
type expectation struct {
	reason string // "accepted", or the word at the end of the refusal.
	// governs is the namespace whose document decides; empty: the system policy. scope is the scope in this document;
	// empty: its default.
	governs, scope string
	// volume is the mount path of a refused image volume. Admitted volumes have their own record.
	volume string
}

// attempt is one pod of one container.
type attempt struct {
	namespace string // By default, default.
	container node.Container
	// sent is the image name that a client sends instead of the image's ID, which a kubelet sends.
	sent string
	// prints is what the container must write, if it runs.
	prints string
}

// expect runs a pod until its verdict is final, and checks the result and the audit record.
func (l *lab) expect(t *testing.T, daemon *node.Daemon, try attempt, want expectation) {
	t.Helper()
	if try.sent != "" {
		kubelet := l.CRI.Runtime
		l.CRI.Runtime = sends{kubelet, try.sent}
		defer func() { l.CRI.Runtime = kubelet }()
	}
	pod := node.Pod{
		Namespace: cmp.Or(try.namespace, "default"), Name: podName(t.Name()), Container: try.container,
	}
	running, err := l.RunPodUntil(t.Context(), pod)
	switch {
	case err == nil && want.reason != "accepted":
		t.Errorf("it runs, and should be refused (%s)", want.reason)
	case err == nil:
		marker, err := running.Marker(t.Context())
		if err != nil || marker != try.prints {
			t.Errorf("the container writes %q, %v; want %q", marker, err, try.prints)
		}
	case want.reason == "accepted":
		t.Errorf("it is refused, and should run: %v", err)
	case !rig.IsRefused(err, want.reason):
		t.Errorf("it should be refused with SignatureValidationFailed and (%s) at the end, and is: %v", want.reason, err)
	}
	if running != nil {
		if err := running.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	l.expectRecord(t, daemon, pod, want)
}

// expectRecord checks the document and the scope in the audit record of a pod.
func (l *lab) expectRecord(t *testing.T, daemon *node.Daemon, pod node.Pod, want expectation) {
	t.Helper()
	decision, err := daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == pod.Name && d.Reason != "pending"
	})
	if err != nil {
		t.Fatal(err)
	}
	outcome := "deny"
	if want.reason == "accepted" {
		outcome = "admit"
	}
	got := []any{
		decision.Outcome, decision.Reason, decision.Stage, decision.Namespace, decision.Document, decision.Scope,
		decision.Record["volume"],
	}
	wanted := []any{
		outcome, want.reason, "creation", pod.Namespace, l.PolicyFile(want.governs), want.scope, want.volume,
	}
	if diff := gocmp.Diff(wanted, got); diff != "" {
		t.Errorf("the record (-want +got):\n%s\n%+v", diff, decision.Record)
	}
}

// podName derives the name of a pod from the name of a test.
func podName(test string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, test))
}
