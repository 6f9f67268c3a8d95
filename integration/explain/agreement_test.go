package explain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// questions is how many questions the agreement has at least.
const questions = 200

// explainable returns an error unless explain has the decision about a pod with a reason.
func (l *lab) explainable(t *testing.T, reason, subject string) error {
	t.Helper()
	got := l.explainJSON(t, subject)
	for _, decision := range got.Decisions {
		if decision["reason"] == reason {
			return nil
		}
	}
	return fmt.Errorf("the decisions are %v", got.Decisions)
}

// restarts restarts the daemon, which forgets its decisions. Its log has them.
func (l *lab) restarts(t *testing.T) {
	unsigned := l.Push(t, "restart/unsigned:v1")
	pod := node.Pod{
		Namespace: prod, Name: "before", Container: node.Container{Name: "app", Image: unsigned.Reference},
	}
	if err := l.attempt(t, pod); !rig.IsRefused(err, "unsigned") {
		t.Fatal(err)
	}
	running := l.Begin(t, loose, unsigned)
	rig.OK(t, l.Daemon.Restart(t.Context()))
	got := l.explainJSON(t, "--audit-log", l.Daemon.LogFile(), prod+"/before")
	if got.Reason != "unsigned" || got.From != "the audit log "+l.Daemon.LogFile() || len(got.Decisions) == 0 {
		t.Errorf("after a restart, the refusal is explained as %+v", got)
	}
	if got := l.explainJSON(t, loose+"/"+running.Pod.Name); got.Reason != "accepted" || got.RootFS.Result != "yes" {
		t.Errorf("after a restart, what runs is explained as %+v", got)
	}
}

// agreement asks the daemon through containerd, check and explain the same questions: about signed and unsigned images
// under each of their names, under policies that are broken, changing or gone, and about evidence that no registry has
// any more.
func (l *lab) agreement(t *testing.T) {
	images := []node.Pushed{
		l.signed(t, "agree/signed:v1"), l.Push(t, "agree/unsigned:v1"),
		l.signedBy(t, "agree/other-key:v1", l.other), l.byIdentity(t, "agree/built:v1", builder, true),
		l.byIdentity(t, "agree/nameless:v1", builder, false),
	}
	stale := l.signed(t, "agree/stale:v1")
	l.BecomesRunnable(t, prod, stale)
	rig.OK(t, l.Registry.Delete(t.Context(), "agree/stale:"+node.SignatureTag(stale.Digest)))
	images = append(images, stale)
	l.require(t, "once-loose", node.Accept())
	l.require(t, "vanished", node.Accept())
	for _, namespace := range []string{"once-loose", "vanished"} {
		l.BecomesRunnable(t, namespace, images[1])
	}
	rig.OK(t, l.WritePolicy("once-loose", "{"))
	rig.OK(t, l.RemovePolicy("vanished"))
	rig.Eventually(t, "the changes to be in force", func() error {
		if err := l.Another(t.Context(), l.hosts["vanished"], images[1]); reasonOf(err) != "rejected" {
			return errors.Join(errors.New("the system policy does not apply yet"), err)
		}
		return nil
	})

	asked := 0
	for _, namespace := range []string{
		prod, exact, logged, builds, company, gpg, baselayer, forbidden, loose, broken, lost, "once-loose", "vanished",
	} {
		for _, image := range images {
			l.Pull(t, image)
			byDigest, byID := image, image
			byDigest.Reference, byID.Reference = image.ByDigest(), image.Config.String()
			for _, named := range []node.Pushed{image, byDigest, byID} {
				asked++
				l.agree(t, l.hosts[namespace], named)
			}
		}
	}
	if asked < questions {
		t.Errorf("only %d questions were asked, want %d", asked, questions)
	}
	l.reloads(t, images[0])
}

// agree compares containerd's answer with those of check and explain.
func (l *lab) agree(t *testing.T, host *node.RunningPod, image node.Pushed) {
	t.Helper()
	var reason string
	rig.Eventually(t, "a final answer", func() error {
		err := l.Another(t.Context(), host, image)
		reason = reasonOf(err)
		if reason == "" || reason == "pending" {
			return errors.Join(errors.New("the answer is not final"), err)
		}
		return nil
	})
	namespace := host.Pod.Namespace
	explained := l.explainJSON(t, "-n", namespace, image.Reference)
	var checked struct {
		Reason string
		Daemon struct{ Reason string }
	}
	output := l.CheckOutput(t, "-o", "json", "-n", namespace, image.Reference)
	rig.OK(t, json.Unmarshal([]byte(output), &checked))
	if explained.Reason != reason || checked.Reason != reason || checked.Daemon.Reason != reason {
		t.Errorf("%s in %s: containerd receives %s, explain reports %s, check %s", image.Reference, namespace, reason,
			explained.Reason, checked.Reason)
	}
	if explained.Took > 0.3 && reason != "pending" {
		t.Logf("%s in %s: the explanation took %fs", image.Reference, namespace, explained.Took)
	}
}

// reasonOf returns the reason at the end of a refusal, or accepted.
func reasonOf(err error) string {
	if err == nil {
		return "accepted"
	}
	text := err.Error()
	if !strings.Contains(text, rig.RefusalPrefix) || !strings.HasSuffix(text, ")") {
		return ""
	}
	return text[strings.LastIndexByte(text, '(')+1 : len(text)-1]
}

// reloads asks while a document changes again and again: every answer is that of one of its versions, and when the
// last one is in force, all answers are its.
func (l *lab) reloads(t *testing.T, signed node.Pushed) {
	t.Helper()
	versions := []node.Requirement{node.Accept(), node.Reject()}
	possible := map[string]bool{"accepted": true, "rejected": true}
	l.require(t, "changing", versions[0])
	l.BecomesRunnable(t, "changing", signed)
	for i := range 20 {
		l.require(t, "changing", versions[i%2])
		if got := l.explainJSON(t, "-n", "changing", signed.Reference); !possible[got.Reason] {
			t.Errorf("while the document changes, the explanation is %s", got.Reason)
		}
		if got := l.Check(t, "-n", "changing", signed.Reference); !possible[got.Reason] {
			t.Errorf("while the document changes, check reports %s", got.Reason)
		}
	}
	rig.Eventually(t, "the last version to be in force", func() error {
		if got := l.explainJSON(t, "-n", "changing", signed.Reference); got.Reason != "rejected" {
			return fmt.Errorf("it is %s", got.Reason)
		}
		return nil
	})
	if got := l.Check(t, "-n", "changing", signed.Reference); got.Reason != "rejected" {
		t.Errorf("check reports %s, and explain rejected", got.Reason)
	}
}
