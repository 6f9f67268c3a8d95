package pull_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// pulls pulls an image that must be let in.
func (l *lab) pulls(t *testing.T, image node.Pushed) {
	t.Helper()
	if err := l.pull(t, image); err != nil {
		t.Fatalf("%s should be pulled: %v", image.Reference, err)
	}
}

// refusesPull pulls an image that must be refused for a reason, and returns what is said of it.
func (l *lab) refusesPull(t *testing.T, image node.Pushed, reason string) string {
	t.Helper()
	err := l.pull(t, image)
	if !isRefused(err, reason) {
		t.Fatalf("the pull of %s should be refused (%s), and the error is: %v", image.Reference, reason, err)
	}
	said := err.Error()[strings.Index(err.Error(), prefix):]
	if !strings.Contains(err.Error(), "verifier "+node.Verifier+" rejected image") {
		t.Errorf("it was not the verifier who refused: %v", err)
	}
	if len(said) > 300 || strings.Contains(said, l.key.Public) || strings.Contains(said, `"`+prod+`"`) {
		t.Errorf("whoever pulls is told too much: %s", said)
	}
	return said
}

// runsAtOnce runs a pod that must run at the first attempt, and is decided by nothing but an acceptance.
func (l *lab) runsAtOnce(t *testing.T, namespace string, image node.Pushed) *node.RunningPod {
	t.Helper()
	pod, err := l.RunPod(t.Context(), l.pod(namespace, image))
	if err != nil {
		t.Fatalf("%s in %s should run at once: %v", image.Reference, namespace, err)
	}
	t.Cleanup(func() { _ = pod.Remove(context.Background()) })
	if got, err := pod.Marker(t.Context()); err != nil || got != l.marker(image) {
		t.Errorf("%s in %s runs %q, %v", image.Reference, namespace, got, err)
	}
	decisions := must(l.daemon.Decisions())(t)
	decisions = slices.DeleteFunc(decisions, func(d node.Decision) bool { return d.Pod != pod.Pod.Name })
	if len(decisions) != 1 || decisions[0].Reason != "accepted" {
		t.Errorf("on record of %s in %s is %+v", image.Reference, namespace, decisions)
	}
	return pod
}

// runs runs a pod in prod that must run, be it after some attempts.
func (l *lab) runs(t *testing.T, image node.Pushed) {
	t.Helper()
	eventually(t, image.Reference+" to run", func() error {
		pod, err := l.RunPodUntil(t.Context(), l.pod(prod, image))
		if err != nil {
			return err
		}
		return pod.Remove(t.Context())
	})
}

// refused runs a pod that must be refused for a reason, and returns the record of the decision.
func (l *lab) refused(t *testing.T, namespace string, image node.Pushed, reason string) node.Decision {
	t.Helper()
	pod := l.pod(namespace, image)
	running, err := l.RunPodUntil(t.Context(), pod)
	if err == nil {
		no(t, running.Remove(t.Context()))
	}
	if !isRefused(err, reason) {
		t.Fatalf("%s in %s should be refused (%s), and the error is: %v", image.Reference, namespace, reason, err)
	}
	return must(l.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == pod.Name && d.Reason == reason && d.Outcome == "deny"
	}))(t)
}

const prefix = "SignatureValidationFailed: "

// isRefused says whether an error is a refusal by countersign for a reason.
func isRefused(err error, reason string) bool {
	return err != nil && strings.Contains(err.Error(), prefix) && strings.HasSuffix(err.Error(), " ("+reason+")")
}

// becomesCreated asks for one more container of an image in a pod until it is created, as a kubelet would.
func (l *lab) becomesCreated(t *testing.T, pod *node.RunningPod, image node.Pushed) {
	t.Helper()
	eventually(t, image.Reference+" to be created", func() error { return l.another(t.Context(), pod, image) })
}

// another asks once for one more container in a pod, which is removed if it is created.
func (l *lab) another(ctx context.Context, pod *node.RunningPod, image node.Pushed) error {
	container := node.Container{
		Name: fmt.Sprintf("another-%d", l.pods.Add(1)), Image: image.Reference, Pull: node.Never,
	}
	request, err := pod.CreationRequest(ctx, container)
	if err != nil {
		return err
	}
	request.Config.LogPath = ""
	created, err := l.CRI.Runtime.CreateContainer(ctx, request)
	if err != nil {
		return err
	}
	_, err = l.CRI.Runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: created.GetContainerId()})
	return err
}

// patience is how long anything may take that is known to come.
const patience = 45 * time.Second

// eventually tries until there is no error.
func eventually(t *testing.T, what string, attempt func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := attempt()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		case <-again.C:
		}
	}
}

// asked returns what a registry was asked so far about a repository; for the empty one, about any.
func asked(t *testing.T, registry *node.Registry, repository string) []node.Request {
	t.Helper()
	return slices.DeleteFunc(must(registry.Requests())(t), func(request node.Request) bool {
		return repository != "" && !strings.HasPrefix(request.Path, "/v2/"+repository+"/")
	})
}

// repository is an image's repository in its registry.
func (l *lab) repository(image node.Pushed) string {
	return strings.TrimPrefix(image.Repository, l.registry.Host+"/")
}

// isBlob says whether a request was for a blob, such as a layer.
func isBlob(request node.Request) bool { return strings.Contains(request.Path, "/blobs/") }

// evidence is what a daemon keeps of an image: the part of record.json that tests look at.
type evidence struct {
	Repository, Outcome string
}

// kept reads what a daemon keeps of an image's manifest in the image's repository.
func kept(daemon *node.Daemon, image node.Pushed) (evidence, error) {
	sum := sha256.Sum256([]byte(image.Repository))
	path := filepath.Join(daemon.EvidenceDirectory(), "v1", "sha256", image.Digest.Encoded(), hex.EncodeToString(sum[:]))
	raw, err := os.ReadFile(filepath.Join(path, "record.json"))
	if err != nil {
		return evidence{}, err
	}
	var found evidence
	return found, json.Unmarshal(raw, &found)
}

// keeps waits until a daemon keeps signatures of an image.
func keeps(t *testing.T, daemon *node.Daemon, image node.Pushed) {
	t.Helper()
	eventually(t, "signatures of "+image.Reference+" to be kept", func() error {
		found, err := kept(daemon, image)
		if err == nil && found.Outcome != "found" {
			err = fmt.Errorf("what is kept is %+v", found)
		}
		return err
	})
}

// logged waits for a record of a daemon's log that has these words in its values, and returns the first.
func logged(t *testing.T, daemon *node.Daemon, words ...string) map[string]any {
	t.Helper()
	var first map[string]any
	eventually(t, fmt.Sprintf("%q in the log", words), func() error {
		found, err := recorded(daemon, words...)
		if len(found) > 0 {
			first = found[0]
			return nil
		}
		return cmp.Or(err, errors.New("there is none"))
	})
	return first
}

// recorded returns the records of a daemon's log that have these words in their values.
func recorded(daemon *node.Daemon, words ...string) ([]map[string]any, error) {
	records, err := daemon.Log("")
	return slices.DeleteFunc(records, func(record map[string]any) bool {
		text := fmt.Sprint(record)
		return slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	}), err
}
