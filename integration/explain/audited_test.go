package explain_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// audits tries a requirement before it is enforced: images run that it would refuse, and are reported everywhere. Its
// scope names a tag, which matters only when it is enforced.
func (l *lab) audits(t *testing.T) {
	const trial = "trial"
	unsigned, moved := l.Push(t, "trial/app:v1"), l.signed(t, "trial/app:v2")
	enforced := node.Cosign(l.Key.Public)
	audited := maps.Clone(enforced)
	audited["enforcement"] = "audit"
	document := func(requirement node.Requirement) string {
		scopes := map[string]node.Requirement{unsigned.Reference: requirement}
		return node.Policy{Default: node.Accept(), Scopes: scopes}.JSON()
	}
	const metric = "countersign_would_deny_total"
	before := rig.Must(l.Daemon.Metric(t.Context(), metric))(t)

	rig.OK(t, l.WritePolicy(trial, document(audited)))
	l.Pull(t, unsigned)
	l.explains(t, "not enforced, only reported: ", "-n", trial, unsigned.Reference)
	running := l.Begin(t, trial, unsigned)
	if decision := l.Decided(t, running.Pod.Name, "unsigned"); decision.Outcome != "admit" ||
		decision.Record["would_deny"] != true || decision.Record["mode"] != "audit" {
		t.Errorf("the record is %v", decision.Record)
	}
	if got := rig.Must(l.Daemon.Metric(t.Context(), metric))(t); got <= before {
		t.Errorf("%s is %v, and was %v before", metric, got, before)
	}
	// The first decision admits before the signatures were looked up, if that takes long.
	rig.Eventually(t, "status to count a decision", func() error {
		if err := l.Another(t.Context(), running, unsigned); err != nil {
			return err
		}
		return l.statusLists(t, "admit (unsigned), would be refused if enforced")
	})
	explained := l.explains(t, "admit (unsigned)", trial+"/"+running.Pod.Name)
	for _, words := range []string{
		"admitted: ", "audit: a policy in audit mode would refuse it (unsigned)",
		"requirement 1: not met: sigstoreSigned: not enforced, only reported: ",
	} {
		if explained.status != 0 || !strings.Contains(explained.text, words) {
			t.Errorf("explain exits with %d and does not say %q:\n%s", explained.status, words, explained.text)
		}
	}
	for _, command := range []string{"check", "inventory"} {
		if got := l.wouldDeny(t, command, trial, unsigned); got != "unsigned" {
			t.Errorf("%s reports that it would be refused as %q", command, got)
		}
	}
	l.Pull(t, moved)
	if err := l.forged(t, running, "moved", moved, unsigned.Reference); err != nil {
		t.Errorf("an image that was obtained under another tag: %v", err)
	}

	rig.OK(t, l.WritePolicy(trial, document(enforced)))
	rig.Eventually(t, "the requirement to be enforced", func() error {
		if err := l.Another(t.Context(), running, unsigned); !rig.IsRefused(err, "unsigned") {
			return fmt.Errorf("the answer is %w", err)
		}
		return nil
	})
	l.Refused(t, trial, unsigned, "unsigned")
	if err := l.forged(t, running, "moved-again", moved, unsigned.Reference); !rig.IsRefused(err, "unknown-origin") {
		t.Errorf("an image that was obtained under another tag: %v", err)
	}
}

// explains waits for an explanation with some words.
func (l *lab) explains(t *testing.T, words string, arguments ...string) (found explained) {
	t.Helper()
	rig.Eventually(t, fmt.Sprintf("explain to say %q", words), func() error {
		found = l.explain(t, arguments...)
		if !strings.Contains(found.text, words) {
			return fmt.Errorf("it says %s", found.text)
		}
		return nil
	})
	return found
}

// wouldDeny returns the reason in the JSON of check, or of inventory, why enforcing everything would refuse an image.
func (l *lab) wouldDeny(t *testing.T, command, namespace string, image node.Pushed) string {
	t.Helper()
	if command == "check" {
		var checked struct {
			WouldDeny string `json:"would_deny_reason"`
		}
		rig.OK(t, json.Unmarshal([]byte(l.CheckOutput(t, "-o", "json", "-n", namespace, image.Reference)), &checked))
		return checked.WouldDeny
	}
	inventory := exec.CommandContext(t.Context(), l.Program, command, "--config", l.Daemon.ConfigFile(), "-o", "json")
	output, _ := inventory.Output() // The exit status is about everything that runs.
	var parsed struct {
		Running []struct {
			Namespace string
			WouldDeny string `json:"would_deny_reason"`
		}
	}
	rig.OK(t, json.Unmarshal(output, &parsed))
	for _, container := range parsed.Running {
		if container.Namespace == namespace {
			return container.WouldDeny
		}
	}
	return ""
}
