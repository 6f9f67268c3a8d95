package explain_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestStopsAreLimited runs several containers that the policies refuse later. The daemon looks for containers to stop
// every 5 s, and evaluates them at most every 15 s: what an evaluation finds is logged after two looks.
func TestStopsAreLimited(t *testing.T) {
	w := rig.NewWorkshop(t)
	l := &lab{Rig: w.NewRig(t, node.NewRegistry(t, node.RegistryConfig{InProcess: true}))}
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"enforce":            {"running": "stop", "running_grace_period": "0s"},
		"enforce.namespaces": {"audited": "audit"},
	}})
	l.require(t, "", node.Accept())
	l.Start(t)
	image := l.Push(t, "stops/web:v1")
	first, second := l.Begin(t, "drifting", image), l.Begin(t, "drifting", image)
	audited, system := l.Begin(t, "audited", image), l.Begin(t, "kube-system", image)
	l.Begin(t, "later", image)
	l.Begin(t, "last", image)
	l.fill(t, image, 3)
	for _, namespace := range []string{"drifting", "audited", "kube-system"} {
		l.require(t, namespace, node.Reject())
	}
	for _, pod := range []*node.RunningPod{first, second, system} {
		l.isReported(t, pod.Pod.Name)
	}

	l.looksTwice(t, "later")
	l.wantStopped(t, 0, "of 9 containers")
	l.fill(t, image, 1)
	l.stops(t, 1, "of 10 containers")
	l.haveEnded(t, 1, first, second)
	l.fill(t, image, 10)
	l.looksTwice(t, "last")
	l.wantStopped(t, 1, "of 19 containers in an hour")
	l.isReported(t, "drifting/")
	l.fill(t, image, 1)
	l.stops(t, 2, "of 20 containers in an hour")
	l.haveEnded(t, 2, first, second)
	for _, pod := range []*node.RunningPod{audited, system} {
		if !l.isRunning(t, pod) {
			t.Errorf("the container in %s was stopped", pod.Pod.Namespace)
		}
	}
}

// fill runs a pod with so many containers, which no policy refuses.
func (l *lab) fill(t *testing.T, image node.Pushed, containers int) {
	t.Helper()
	pod := l.Pod("others", image)
	for number := range containers - 1 {
		pod.More = append(pod.More, node.Container{Name: fmt.Sprintf("more-%d", number), Image: image.Reference})
	}
	running := rig.Must(l.RunPodUntil(t.Context(), pod))(t)
	t.Cleanup(func() { _ = running.Remove(context.Background()) })
}

// isReported waits until status lists a container in drift.
func (l *lab) isReported(t *testing.T, container string) {
	t.Helper()
	rig.Eventually(t, "status to list "+container, func() error { return l.statusLists(t, container) })
}

// looksTwice returns when the daemon has looked for containers to stop at least twice since the evaluation before. It
// puts the container of a namespace into drift.
func (l *lab) looksTwice(t *testing.T, namespace string) {
	t.Helper()
	l.require(t, namespace, node.Reject())
	rig.Logged(t, l.Daemon, "drift: a container runs that the policy refuses", "namespace:"+namespace)
}

// stopped returns how many containers the daemon has stopped.
func (l *lab) stopped(t *testing.T) int {
	t.Helper()
	return len(rig.Must(l.Daemon.Log("stopping a container that the policy refuses"))(t))
}

func (l *lab) wantStopped(t *testing.T, want int, what string) {
	t.Helper()
	if got := l.stopped(t); got != want {
		t.Fatalf("%d %s were stopped, want %d", got, what, want)
	}
}

// stops waits until so many containers have been stopped.
func (l *lab) stops(t *testing.T, want int, what string) {
	t.Helper()
	rig.Eventually(t, fmt.Sprintf("the stop of %d %s", want, what), func() error {
		if l.stopped(t) < want {
			return errors.New("fewer were stopped")
		}
		return nil
	})
	l.wantStopped(t, want, what)
}

// haveEnded waits until so many of the pods that are in drift for longest do not run any more.
func (l *lab) haveEnded(t *testing.T, want int, pods ...*node.RunningPod) {
	t.Helper()
	rig.Eventually(t, fmt.Sprintf("the end of %d containers", want), func() error {
		ended := 0
		for _, pod := range pods {
			if !l.isRunning(t, pod) {
				ended++
			}
		}
		if ended != want {
			return fmt.Errorf("%d have ended", ended)
		}
		return nil
	})
}
