package rig

import (
	"context"
	"fmt"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// Pod is a pod with a unique name and one container of an image.
func (r *Rig) Pod(namespace string, image node.Pushed) node.Pod {
	return node.Pod{
		Namespace: namespace, Name: fmt.Sprintf("pod-%d", r.Number()),
		Container: node.Container{Image: image.Reference},
	}
}

// Begin runs a pod that must run on its image's own files, possibly after it was pending. The pod is removed when the
// test ends.
func (r *Rig) Begin(t testing.TB, namespace string, image node.Pushed) *node.RunningPod {
	t.Helper()
	pod, err := r.RunPodUntil(t.Context(), r.Pod(namespace, image))
	return r.begun(t, pod, err, namespace, image)
}

// BeginAtOnce is like Begin, but the pod must not be pending first.
func (r *Rig) BeginAtOnce(t testing.TB, namespace string, image node.Pushed) *node.RunningPod {
	t.Helper()
	pod, err := r.RunPod(t.Context(), r.Pod(namespace, image))
	return r.begun(t, pod, err, namespace, image)
}

func (r *Rig) begun(
	t testing.TB, pod *node.RunningPod, err error, namespace string, image node.Pushed,
) *node.RunningPod {
	t.Helper()
	if err != nil {
		t.Fatalf("%s in %s should run: %v", image.Reference, namespace, err)
	}
	t.Cleanup(func() {
		// If containerd does not run any more, closing the node removes the pod.
		_ = pod.Remove(context.Background())
	})
	WantMarker(t, pod, r.Marker(image))
	return pod
}

// WantMarker fails the test unless a pod runs on the root filesystem with that marker.
func WantMarker(t testing.TB, pod *node.RunningPod, want string) {
	t.Helper()
	if got, err := pod.Marker(t.Context()); err != nil || got != want {
		t.Errorf("%s in %s runs %q, %v; want %q", pod.Pod.Image, pod.Pod.Namespace, got, err, want)
	}
}

// BecomesRunnable runs pods until one runs, because evidence that was signed after a refusal is fetched again.
func (r *Rig) BecomesRunnable(t testing.TB, namespace string, image node.Pushed) {
	t.Helper()
	Eventually(t, image.Reference+" to run", func() error {
		pod, err := r.RunPodUntil(t.Context(), r.Pod(namespace, image))
		if err != nil {
			return err
		}
		return pod.Remove(t.Context())
	})
}

// RefusalPrefix is the beginning of every refusal, after containerd's own text.
const RefusalPrefix = "SignatureValidationFailed: "

// IsRefused reports whether an error is a refusal by countersign for a reason.
func IsRefused(err error, reason string) bool {
	return err != nil && strings.Contains(err.Error(), RefusalPrefix) && strings.HasSuffix(err.Error(), " ("+reason+")")
}

// Refusal is the result of a refused pod.
type Refusal struct {
	node.Decision        // In the audit log.
	Said          string // In the error for the pod's author.
}

// Refused runs a pod that must be refused for a reason.
func (r *Rig) Refused(t testing.TB, namespace string, image node.Pushed, reason string) Refusal {
	t.Helper()
	pod := r.Pod(namespace, image)
	running, err := r.RunPodUntil(t.Context(), pod)
	if err == nil {
		OK(t, running.Remove(t.Context()))
		t.Fatalf("%s in %s runs, and should be refused (%s)", image.Reference, namespace, reason)
	}
	if !IsRefused(err, reason) {
		t.Fatalf("%s in %s should be refused (%s), and the error is: %v", image.Reference, namespace, reason, err)
	}
	decision := r.Decided(t, pod.Name, reason)
	if decision.Outcome != "deny" || decision.Namespace != namespace {
		t.Errorf("the record is %v", decision.Record)
	}
	return Refusal{Decision: decision, Said: err.Error()[strings.Index(err.Error(), RefusalPrefix):]}
}

// Decided waits for the record of the first decision about a pod with a reason.
func (r *Rig) Decided(t testing.TB, pod, reason string) node.Decision {
	t.Helper()
	decision, err := r.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == pod && d.Reason == reason
	})
	if err != nil {
		t.Fatalf("there is no record of a decision about %s with the reason %s: %v", pod, reason, err)
	}
	return decision
}

// Another tries once to create another container in a pod, of an image that is on the node. A created container is
// removed.
func (r *Rig) Another(ctx context.Context, pod *node.RunningPod, image node.Pushed) error {
	container := node.Container{
		Name: fmt.Sprintf("another-%d", r.Number()), Image: image.Reference, Pull: node.Never,
	}
	request, err := pod.CreationRequest(ctx, container)
	if err != nil {
		return err
	}
	request.Config.LogPath = ""
	created, err := r.CRI.Runtime.CreateContainer(ctx, request)
	if err != nil {
		return err
	}
	_, err = r.CRI.Runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: created.GetContainerId()})
	if err != nil {
		return fmt.Errorf("created, and not removed: %w", err)
	}
	return nil
}
