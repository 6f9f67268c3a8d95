package node_test

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
)

// lab is a node and a registry (distribution).
type lab struct {
	*node.Node
	registry *node.Registry
}

func newLab(t *testing.T) lab {
	t.Helper()
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	return lab{Node: node.Start(t, node.Config{Tools: tools}), registry: registry}
}

func image(t testing.TB, tools *node.Tools, marker string) v1.Image {
	t.Helper()
	image, err := tools.Image(marker)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// push makes an image and pushes it.
func push(t testing.TB, tools *node.Tools, registry *node.Registry, name, marker string) node.Pushed {
	t.Helper()
	pushed, err := registry.Push(t.Context(), name, image(t, tools, marker))
	if err != nil {
		t.Fatal(err)
	}
	return pushed
}

func (l lab) push(t *testing.T, name, marker string) node.Pushed {
	t.Helper()
	return push(t, l.Tools, l.registry, name, marker)
}

// run runs a pod with one container, and returns the pod and the marker that the container prints.
func (l lab) run(t *testing.T, container node.Container) (*node.RunningPod, string) {
	t.Helper()
	pod, err := l.RunPod(t.Context(), node.Pod{Namespace: "default", Container: container})
	if err != nil {
		t.Fatal(err)
	}
	marker, err := pod.Marker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pod, marker
}
