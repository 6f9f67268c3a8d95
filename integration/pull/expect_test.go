package pull_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// refusesPull pulls an image that must be refused for a reason, and returns the audit record.
func (l *lab) refusesPull(t *testing.T, image node.Pushed, reason string) string {
	t.Helper()
	err := l.tryPull(t, image)
	if !rig.IsRefused(err, reason) {
		t.Fatalf("the pull of %s should be refused (%s), and the error is: %v", image.Reference, reason, err)
	}
	said := err.Error()[strings.Index(err.Error(), rig.RefusalPrefix):]
	if !strings.Contains(err.Error(), "verifier "+node.Verifier+" rejected image") {
		t.Errorf("it was not the verifier who refused: %v", err)
	}
	if len(said) > 300 || strings.Contains(said, l.Key.Public) || strings.Contains(said, `"`+prod+`"`) {
		t.Errorf("the error reveals too much: %s", said)
	}
	return said
}

// runsAtOnce runs a pod that must be accepted at the first attempt.
func (l *lab) runsAtOnce(t *testing.T, namespace string, image node.Pushed) *node.RunningPod {
	t.Helper()
	pod := l.BeginAtOnce(t, namespace, image)
	decisions := rig.Must(l.Daemon.Decisions())(t)
	decisions = slices.DeleteFunc(decisions, func(d node.Decision) bool { return d.Pod != pod.Pod.Name })
	if len(decisions) != 1 || decisions[0].Reason != "accepted" {
		t.Errorf("the records of %s in %s are %+v", image.Reference, namespace, decisions)
	}
	return pod
}

// becomesCreated requests another container of an image in a pod until it is created, as a kubelet does.
func (l *lab) becomesCreated(t *testing.T, pod *node.RunningPod, image node.Pushed) {
	t.Helper()
	rig.Eventually(t, image.Reference+" to be created", func() error { return l.Another(t.Context(), pod, image) })
}

// asked returns the requests to a registry so far for a repository, or for all if it is empty.
func asked(t *testing.T, registry *node.Registry, repository string) []node.Request {
	t.Helper()
	return slices.DeleteFunc(rig.Must(registry.Requests())(t), func(request node.Request) bool {
		return repository != "" && !strings.HasPrefix(request.Path, "/v2/"+repository+"/")
	})
}

// repository returns an image's repository in its registry.
func (l *lab) repository(image node.Pushed) string {
	return strings.TrimPrefix(image.Repository, l.Registry.Host+"/")
}

// isBlob reports whether a request was for a blob, such as a layer.
func isBlob(request node.Request) bool { return strings.Contains(request.Path, "/blobs/") }

// evidence is the part of record.json that tests read.
type evidence struct {
	Repository, Outcome string
}

// storedEvidence reads the evidence that a daemon has stored for an image's manifest and repository.
func storedEvidence(daemon *node.Daemon, image node.Pushed) (evidence, error) {
	sum := sha256.Sum256([]byte(image.Repository))
	path := filepath.Join(daemon.EvidenceDirectory(), "v1", "sha256", image.Digest.Encoded(), hex.EncodeToString(sum[:]))
	raw, err := os.ReadFile(filepath.Join(path, "record.json"))
	if err != nil {
		return evidence{}, err
	}
	var found evidence
	return found, json.Unmarshal(raw, &found)
}

// awaitStored waits until a daemon has stored signatures of an image.
func awaitStored(t *testing.T, daemon *node.Daemon, image node.Pushed) {
	t.Helper()
	rig.Eventually(t, "signatures of "+image.Reference+" to be stored", func() error {
		found, err := storedEvidence(daemon, image)
		if err == nil && found.Outcome != "found" {
			err = fmt.Errorf("stored is %+v", found)
		}
		return err
	})
}
