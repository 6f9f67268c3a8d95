package origin_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// lab is a node with two kinds of snapshotters, a registry, and the code under test, which follows the node's
// containerd.
type lab struct {
	*node.Node
	registry *node.Registry
	origin   *origin.Containerd
}

func newLab(tb testing.TB) *lab {
	tb.Helper()
	tools := node.NewTools(tb)
	l := &lab{
		registry: node.NewRegistry(tb, node.RegistryConfig{Tools: tools}),
		Node:     node.Start(tb, node.Config{Tools: tools}),
	}
	l.origin = rig.Must(origin.Open(l.ContainerdSocket(), "k8s.io", slog.New(slog.DiscardHandler), nil))(tb)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.origin.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, l.origin.Close()); err != nil {
			tb.Error(err)
		}
	})
	l.awaitFollowing(tb)
	return l
}

func (l *lab) awaitFollowing(tb testing.TB) {
	tb.Helper()
	await(tb, "events to be followed", func() bool {
		state := l.origin.State()
		return state.Following && state.Unread == 0
	})
}

func await(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			tb.Fatalf("waited in vain for %s", what)
		case <-again.C:
		}
	}
}

func (l *lab) image(tb testing.TB, marker string) v1.Image {
	tb.Helper()
	return rig.Must(l.Tools.Image(marker))(tb)
}

// push pushes an image with that marker.
func (l *lab) push(tb testing.TB, name, marker string) node.Pushed {
	tb.Helper()
	return rig.Must(l.registry.Push(tb.Context(), name, l.image(tb, marker)))(tb)
}

// run runs a pod of one container and returns it with the container's ID.
func (l *lab) run(tb testing.TB, container node.Container) (pod *node.RunningPod, id string) {
	tb.Helper()
	pod = rig.Must(l.RunPod(tb.Context(), node.Pod{Namespace: "default", Container: container}))(tb)
	return pod, pod.Containers["main"]
}

func question(pushed node.Pushed) policy.Question {
	return policy.Question{Namespace: "default", Reference: pushed.Reference, Config: pushed.Config}
}

// originals asks for an image and returns its original references.
func (l *lab) originals(tb testing.TB, pushed node.Pushed) []string {
	tb.Helper()
	image := rig.Must(l.origin.Image(tb.Context(), question(pushed)))(tb)
	var all []string
	for _, original := range image.PulledAs {
		all = append(all, original.String())
	}
	return all
}

func refused(tb testing.TB, err error, reason policy.Reason, words string) {
	tb.Helper()
	refusal := new(policy.Refusal)
	if !errors.As(err, &refusal) || refusal.Reason != reason || !strings.Contains(refusal.Detail, words) {
		tb.Errorf("want a refusal as %s that says %q, got %v", reason, words, err)
	}
}

// verify compares the root filesystem of a container with a config.
func (l *lab) verify(tb testing.TB, container string, config digest.Digest) error {
	tb.Helper()
	_, err := l.origin.Content(tb.Context(), policy.Container{ID: container, Config: config})
	return err
}

// discovered checks which image a container is found to run, without its config digest.
func (l *lab) discovered(tb testing.TB, container string, image node.Pushed) {
	tb.Helper()
	configs, err := l.origin.Content(tb.Context(), policy.Container{ID: container, Reference: image.Reference})
	if err != nil {
		tb.Error(err)
	}
	if difference := cmp.Diff([]digest.Digest{image.Config}, configs); difference != "" {
		tb.Error(difference)
	}
}
