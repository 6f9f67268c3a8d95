package attack_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (l *lab) movedTag(t *testing.T) {
	_, signed := l.signed(t, "shop/moved:v1", "signed before")
	l.runs(t, l.Node, strict, signed.Reference, "signed before")
	evil := l.push(t, "shop/moved:v1", l.image(t, "moved to evil"))
	// The node has the signed image under that name, and runs it.
	l.runs(t, l.Node, strict, signed.Reference, "signed before")
	l.runs(t, l.Node, lax, signed.Reference, "signed before")

	pod, err := l.RunPodUntil(t.Context(), l.pod(lax, node.Container{Image: evil.Reference, Pull: node.Always}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pod.Marker(t.Context()); err != nil || got != "moved to evil" {
		t.Errorf("pulled again in the loose namespace it runs %q, %v", got, err)
	}
	if err := pod.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	l.refused(t, strict, node.Container{Image: signed.Reference}, "unsigned")
	l.refused(t, strict, node.Container{Image: signed.Reference, Pull: node.Always}, "unsigned")
	l.runs(t, l.Node, strict, signed.ByDigest(), "signed before")
	l.runs(t, l.Node, strict, signed.Config.String(), "signed before")
}

// race has two names, one of which sorts before the signed image's own. Both are moved between the signed image and the
// attacker's, in the registry and on the node.
type race struct {
	moving, alias          node.Pushed // The names, and the images to which they refer at first.
	movingEvil, aliasIndex node.Pushed
}

func (l *lab) newRace(t *testing.T) (race, node.Pushed) {
	t.Helper()
	signed, victim := l.signed(t, "shop/race:v1", "signed racer")
	evil := l.image(t, "evil racer")
	index := node.Index(node.Child{Manifest: evil}, l.elsewhere(t), node.Child{Manifest: signed})
	return race{
		moving: l.push(t, "shop/race:moving", signed), movingEvil: l.push(t, "shop/race:evil", evil),
		alias: l.push(t, "aaa/race:v1", signed), aliasIndex: l.pushIndex(t, "aaa/race:index", index),
	}, victim
}

// move moves both names and pulls them on the node. The pull of the index fails, as the attacker intends.
func (l *lab) move(ctx context.Context, r race, toEvil bool) error {
	moving, alias := r.moving, r.alias
	if toEvil {
		moving, alias = r.movingEvil, r.aliasIndex
	}
	if err := errors.Join(l.registry.Tag(ctx, moving, "moving"), l.registry.Tag(ctx, alias, "v1")); err != nil {
		return err
	}
	_, movingErr := l.CRI.PullImage(ctx, r.moving.Reference, nil, nil)
	_, aliasErr := l.CRI.PullImage(ctx, r.alias.Reference, nil, nil)
	if toEvil {
		return movingErr
	}
	return errors.Join(movingErr, aliasErr)
}

// movingTags moves names while the strict namespace creates containers.
func (l *lab) movingTags(t *testing.T) {
	r, victim := l.newRace(t)
	pull(t, l.Node, r.moving.Reference)
	l.runs(t, l.Node, strict, victim.Reference, "signed racer")

	pod := l.begin(t, l.Node, strict, node.Container{Image: victim.Reference})

	const moves = 100
	done := make(chan error, 1)
	go func() {
		var failures error
		for i := range moves {
			failures = errors.Join(failures, l.move(t.Context(), r, i%2 == 0))
		}
		done <- failures
	}()
	created, refused := 0, map[string]int{}
	for over := false; !over; {
		for _, image := range []string{victim.Reference, r.moving.Reference, victim.Config.String()} {
			if why := l.attempt(t, pod, image, "signed racer"); why != "" {
				refused[why]++
			} else {
				created++
			}
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			over = true
		default:
		}
	}
	t.Logf("in %d moves %d containers were created, and others were not: %v", moves, created, refused)
	l.runs(t, l.Node, strict, victim.Reference, "signed racer")
	l.runs(t, l.Node, strict, r.moving.Reference, "signed racer")
}

// attempt tries once to run another container in a pod. If it runs, it must have the marker; otherwise attempt returns
// why it was not created.
func (l *lab) attempt(t *testing.T, pod *node.RunningPod, image, marker string) (refused string) {
	t.Helper()
	container := node.Container{Name: "attempt", Image: image, Pull: node.Never}
	request, err := pod.CreationRequest(t.Context(), container)
	if err != nil {
		return "not found by the kubelet"
	}
	request.Config.LogPath = ""
	created, err := l.CRI.Runtime.CreateContainer(t.Context(), request)
	if err != nil {
		if !strings.Contains(err.Error(), prefix) {
			return "not found by containerd"
		}
		l.refusals.add(refusal{strict, pod.Pod.Name, []string{image}, err.Error()})
		return reason.FindStringSubmatch(err.Error())[1]
	}
	id := created.GetContainerId()
	defer func() {
		_, err := l.CRI.Runtime.RemoveContainer(t.Context(), &cri.RemoveContainerRequest{ContainerId: id})
		if err != nil {
			t.Error(err)
		}
	}()
	if _, err := l.CRI.Runtime.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: id}); err != nil {
		// Without the image in the request, the validation misses one whose event is late, and the record tells.
		if !byRelease(l, false, rig.IsRefused(err, "unknown-origin")) {
			t.Error(err)
		}
		return "not what was validated"
	}
	if got, err := l.CRI.Exec(t.Context(), id, "/witness", "print", "/marker"); err != nil || got != marker+"\n" {
		t.Errorf("%s runs %q, %v", image, got, err)
	}
	return ""
}
