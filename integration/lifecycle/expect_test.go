package lifecycle_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// runs runs a pod that must run, and returns the audit record of the decision.
func (l *lab) runs(t *testing.T, namespace string, image node.Pushed) node.Decision {
	t.Helper()
	pod := l.Begin(t, namespace, image)
	return l.Decided(t, pod.Pod.Name, "accepted")
}

// says checks that an error is a refusal by countersign for a reason.
func (*lab) says(t *testing.T, err error, reason string) {
	t.Helper()
	if !rig.IsRefused(err, reason) {
		t.Errorf("it should be refused (%s), and the error is: %v", reason, err)
	}
}

// is requests another container in a pod until the verdict is final. It must be refused for that reason, or created if
// there is none.
func (l *lab) is(t *testing.T, pod *node.RunningPod, image node.Pushed, reason string) {
	t.Helper()
	l.settles(t, pod, image, func(err error) bool { return !rig.IsRefused(err, "pending") && !isAway(err) }, reason)
}

// becomes requests another container in a pod until it is refused for that reason, or created if there is none.
func (l *lab) becomes(t *testing.T, pod *node.RunningPod, image node.Pushed, reason string) {
	t.Helper()
	done := func(err error) bool {
		if reason == "" {
			return err == nil
		}
		return rig.IsRefused(err, reason)
	}
	l.settles(t, pod, image, done, reason)
}

var errCreated = errors.New("it is created")

func (l *lab) settles(
	t *testing.T, pod *node.RunningPod, image node.Pushed, done func(error) bool, reason string,
) {
	t.Helper()
	var last error
	rig.Eventually(t, fmt.Sprintf("%s in %s (%s)", image.Reference, pod.Pod.Namespace, reason), func() error {
		if last = l.Another(t.Context(), pod, image); !done(last) {
			return fmt.Errorf("it is not settled: %w", cmp.Or(last, errCreated))
		}
		return nil
	})
	switch {
	case reason == "" && last != nil:
		t.Errorf("%s should run in %s, and the error is: %v", image.Reference, pod.Pod.Namespace, last)
	case reason != "" && !rig.IsRefused(last, reason):
		t.Errorf("%s in %s should be refused (%s), and the error is: %v", image.Reference, pod.Pod.Namespace, reason, last)
	}
}

// isAway reports whether the runtime itself refused, because it has not yet noticed that a daemon disconnected or
// connected.
func isAway(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "ttrpc: closed") ||
		strings.Contains(err.Error(), `required plugin "countersign" not present`))
}
