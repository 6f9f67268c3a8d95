package lifecycle_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (l *lab) containersOfPod(t *testing.T) {
	signed, unsigned := l.signed(t, "shop/part:v1"), l.Push(t, "shop/part-unsigned:v1")
	for _, image := range []node.Pushed{signed, unsigned} {
		l.runs(t, loose, image)
	}
	once := []string{"/witness", "print", "/marker"}
	pod := func(first, main node.Pushed) node.Pod {
		pod := l.Pod(strict, main)
		pod.Init = []node.Container{{Name: "init", Image: first.Reference, Command: once}}
		return pod
	}
	about := func(t *testing.T, pod string) map[string]string {
		t.Helper()
		reasons := make(map[string]string)
		for _, decision := range rig.Must(l.Daemon.Decisions())(t) {
			if decision.Pod == pod && decision.Reason != "pending" {
				reasons[decision.Container] = decision.Reason
			}
		}
		return reasons
	}
	for name, test := range map[string]struct {
		pod          node.Pod
		refused, say string
	}{
		"the init container is refused, and nothing after it is requested": {
			pod(unsigned, signed), "init", "map[init:unsigned]",
		},
		"the init container has run, and the main one is refused": {
			pod(signed, unsigned), "main", "map[init:accepted main:unsigned]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.RunPodUntil(t.Context(), test.pod)
			l.says(t, err, "unsigned")
			if got := l.Decided(t, test.pod.Name, "unsigned").Container; got != test.refused {
				t.Errorf("the container %s is refused; want %s", got, test.refused)
			}
			if got := fmt.Sprint(about(t, test.pod.Name)); got != test.say {
				t.Errorf("the record has %s; want %s", got, test.say)
			}
		})
	}
	t.Run("one that is added to a running pod is refused", func(t *testing.T) {
		running, err := l.RunPodUntil(t.Context(), pod(signed, signed))
		rig.OK(t, err)
		defer func() { rig.OK(t, running.Remove(context.WithoutCancel(t.Context()))) }()
		l.is(t, running, unsigned, "unsigned")
		l.is(t, running, signed, "")
	})
}
