package lifecycle_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// begin runs a pod that must run, on its image's root filesystem. It is removed when the test ends.
func (l *lab) begin(t *testing.T, namespace string, image node.Pushed) *node.RunningPod {
	t.Helper()
	pod, err := l.RunPodUntil(t.Context(), l.pod(namespace, image))
	if err != nil {
		t.Fatalf("%s in %s should run: %v", image.Reference, namespace, err)
	}
	t.Cleanup(func() {
		// Where containerd does not run any more, the node's end takes the pod along.
		_ = pod.Remove(context.Background())
	})
	if got, err := pod.Marker(t.Context()); err != nil || got != l.marker(image) {
		t.Errorf("%s in %s runs %q, %v", image.Reference, namespace, got, err)
	}
	return pod
}

// runs runs a pod that must run, and returns the record of the decision.
func (l *lab) runs(t *testing.T, namespace string, image node.Pushed) node.Decision {
	t.Helper()
	pod := l.begin(t, namespace, image)
	return l.decided(t, pod.Pod.Name, "accepted")
}

// refused runs a pod that must be refused for a reason, and returns the record of the decision.
func (l *lab) refused(t *testing.T, namespace string, image node.Pushed, reason string) node.Decision {
	t.Helper()
	pod := l.pod(namespace, image)
	running, err := l.RunPodUntil(t.Context(), pod)
	if err == nil {
		t.Errorf("%s in %s runs, and should be refused (%s)", image.Reference, namespace, reason)
		no(t, running.Remove(t.Context()))
		return node.Decision{}
	}
	l.says(t, err, reason)
	decision := l.decided(t, pod.Name, reason)
	if decision.Outcome != "deny" || decision.Namespace != namespace {
		t.Errorf("on record is %v", decision.Record)
	}
	return decision
}

// says wants an error to be a refusal by countersign for a reason.
func (*lab) says(t *testing.T, err error, reason string) {
	t.Helper()
	if !isRefused(err, reason) {
		t.Errorf("it should be refused (%s), and the error is: %v", reason, err)
	}
}

// decided returns the record of a decision about a pod.
func (l *lab) decided(t *testing.T, pod, reason string) node.Decision {
	t.Helper()
	decision, err := l.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == pod && d.Reason == reason
	})
	if err != nil {
		t.Fatalf("no decision about %s with the reason %s is on record: %v", pod, reason, err)
	}
	return decision
}

// logged waits for a record of the daemon's log that has these words in one of its values, and returns how many have.
func (*lab) logged(t *testing.T, daemon *node.Daemon, message string, words ...string) (found []map[string]any) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q with %q in the log", message, words), func() error {
		records, err := daemon.Log(message)
		found = nil
		for _, record := range records {
			if says(record, words) {
				found = append(found, record)
			}
		}
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("there is none among %v", records)
		}
		return err
	})
	return found
}

func says(record map[string]any, words []string) bool {
	text := fmt.Sprint(record)
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return !strings.Contains(text, "\n")
}

// patience is how long anything may take that is known to come.
const patience = 30 * time.Second

// eventually tries until there is no error.
func eventually(t *testing.T, what string, attempt func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
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

// is asks for one more container in a pod until it is known what becomes of it, and wants it refused for that reason,
// or created where there is none.
func (l *lab) is(t *testing.T, pod *node.RunningPod, image node.Pushed, reason string) {
	t.Helper()
	l.settles(t, pod, image, func(err error) bool { return !isRefused(err, "pending") && !isAway(err) }, reason)
}

// becomes asks for one more container in a pod until it is refused for that reason, or created where there is none.
func (l *lab) becomes(t *testing.T, pod *node.RunningPod, image node.Pushed, reason string) {
	t.Helper()
	done := func(err error) bool {
		if reason == "" {
			return err == nil
		}
		return isRefused(err, reason)
	}
	l.settles(t, pod, image, done, reason)
}

var errCreated = errors.New("it is created")

func (l *lab) settles(
	t *testing.T, pod *node.RunningPod, image node.Pushed, done func(error) bool, reason string,
) {
	t.Helper()
	var last error
	eventually(t, fmt.Sprintf("%s in %s (%s)", image.Reference, pod.Pod.Namespace, reason), func() error {
		if last = l.another(t.Context(), pod, image); !done(last) {
			return fmt.Errorf("it is not settled: %w", cmp.Or(last, errCreated))
		}
		return nil
	})
	switch {
	case reason == "" && last != nil:
		t.Errorf("%s should run in %s, and the error is: %v", image.Reference, pod.Pod.Namespace, last)
	case reason != "" && !isRefused(last, reason):
		t.Errorf("%s in %s should be refused (%s), and the error is: %v", image.Reference, pod.Pod.Namespace, reason, last)
	}
}

// isRefused says whether an error is a refusal by countersign for a reason.
func isRefused(err error, reason string) bool {
	return err != nil && strings.Contains(err.Error(), "SignatureValidationFailed: ") &&
		strings.HasSuffix(err.Error(), " ("+reason+")")
}

// isAway says whether it was the runtime that refused, because it has not yet noticed that a daemon went or came.
func isAway(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "ttrpc: closed") ||
		strings.Contains(err.Error(), `required plugin "countersign" not present`))
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
	if err != nil {
		return fmt.Errorf("created, and not removed: %w", err)
	}
	return nil
}
