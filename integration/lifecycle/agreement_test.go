package lifecycle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// agreement runs check while the daemon runs, for each image in each namespace under each name, and compares the
// verdict with the daemon's later answer to containerd. For some of the policies, the files on disk give another
// verdict.
func (l *lab) agreement(t *testing.T) {
	signed, unsigned := l.signed(t, "agree/signed:v1"), l.Push(t, "agree/unsigned:v1")
	other := l.signed(t, "agree/other:v1")
	key := l.Path("agree.pub")
	public, err := os.ReadFile(l.Key.Public)
	rig.OK(t, err)
	rig.OK(t, os.WriteFile(key, public, 0o600))
	tagged := node.Policy{Default: node.Reject(), Scopes: map[string]node.Requirement{signed.Reference: node.Accept()}}
	for namespace, policy := range map[string]node.Policy{
		"agree-broken": l.signatures(), "agree-vanished": accepting(), "agree-tagged": tagged,
		"agree-key": {Default: node.Cosign(key)}, "agree-reject": {Default: node.Reject()},
	} {
		l.Write(t, namespace, policy)
	}
	for _, namespace := range []string{"agree-broken", "agree-vanished"} {
		l.runs(t, namespace, signed) // The policy is in force.
	}
	rig.OK(t, l.WritePolicy("agree-broken", `{"default": [`))
	rig.OK(t, l.RemovePolicy("agree-vanished"))
	rig.OK(t, os.Remove(key))
	// The last of the changes is in force once the requirement with the key cannot be satisfied any more.
	rig.Eventually(t, "agree-key to be refused", func() error {
		running, err := l.RunPodUntil(t.Context(), l.Pod("agree-key", signed))
		if err == nil {
			return errors.Join(errors.New("it runs"), running.Remove(t.Context()))
		}
		if !rig.IsRefused(err, "invalid-policy") {
			return err
		}
		return nil
	})

	asked := 0
	for _, namespace := range []string{
		strict, loose, plain, "agree-broken", "agree-vanished", "agree-tagged", "agree-key", "agree-reject",
	} {
		for _, image := range []node.Pushed{signed, unsigned, other} {
			byDigest, byID := image, image
			byDigest.Reference, byID.Reference = image.ByDigest(), image.Config.String()
			l.Pull(t, image)
			for _, named := range []node.Pushed{image, byDigest, byID} {
				asked++
				l.agrees(t, namespace, named)
			}
		}
	}
	if asked < 60 {
		t.Errorf("only %d questions were asked", asked)
	}
	l.sayWhyTheyDiffer(t, signed)
}

// agrees checks that check prints the verdict that a pod gets.
func (l *lab) agrees(t *testing.T, namespace string, image node.Pushed) {
	t.Helper()
	pod := l.Pod(namespace, image)
	pod.Pull = node.Never
	running, err := l.RunPodUntil(t.Context(), pod)
	reason := "accepted"
	switch {
	case err == nil:
		rig.OK(t, running.Remove(t.Context()))
	case strings.HasSuffix(err.Error(), ")"):
		reason = err.Error()[strings.LastIndexByte(err.Error(), '(')+1 : len(err.Error())-1]
	default:
		t.Fatalf("%s in %s: %v", image.Reference, namespace, err)
	}
	said := l.checked(t, namespace, image.Reference)
	if said.Reason != reason || !said.Daemon.Answers || said.Daemon.Reason != reason {
		t.Errorf("%s in %s: containerd receives %s, check reports %s, the daemon %+v, the files %+v",
			image.Reference, namespace, reason, said.Reason, said.Daemon, said.Files)
	}
}

// checkSaid is the JSON output of check.
type checkSaid struct {
	Reason string
	Daemon struct {
		Answers         bool
		Reason, Problem string
	}
	Files struct{ Reason string }
}

func (l *lab) checked(t *testing.T, namespace, reference string) (said checkSaid) {
	t.Helper()
	output := l.CheckOutput(t, "-o", "json", "--namespace", namespace, reference)
	if err := json.Unmarshal([]byte(output), &said); err != nil {
		t.Fatalf("check says %q: %v", output, err)
	}
	return said
}

// sayWhyTheyDiffer checks three things: the verdict of the files, the verdict of the daemon, and whether the daemon
// answers.
func (l *lab) sayWhyTheyDiffer(t *testing.T, signed node.Pushed) {
	t.Helper()
	text := l.CheckOutput(t, "--namespace", "agree-broken", signed.Reference)
	for _, want := range []string{
		"admitted: ", "this is the running daemon's verdict; by the files on disk the image is denied (invalid-policy): " +
			"an earlier version of the document is in force",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("check lacks %q:\n%s", want, text)
		}
	}
	rig.OK(t, l.Daemon.Terminate(t.Context()))
	text = l.CheckOutput(t, "--namespace", strict, signed.Reference)
	if want := fmt.Sprintf("the daemon does not answer, so this is the verdict by the files: calling the daemon at %s: ",
		l.Daemon.Socket()); !strings.Contains(text, want) {
		t.Errorf("check lacks %q:\n%s", want, text)
	}
	l.Start(t)
}
