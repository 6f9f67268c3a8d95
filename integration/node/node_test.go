package node_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func TestPod(t *testing.T) {
	tools := node.NewTools(t)
	n := node.Start(t, node.Config{Tools: tools})
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	image, err := tools.Image("hello")
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := registry.Push(t.Context(), "app:v1", image)
	if err != nil {
		t.Fatal(err)
	}
	pod, err := n.RunPod(t.Context(), node.Pod{Namespace: "default", Container: node.Container{Image: pushed.Reference}})
	if err != nil {
		t.Fatal(err)
	}
	marker, err := pod.Marker(t.Context())
	if err != nil || marker != "hello" {
		t.Fatalf("%q %v", marker, err)
	}
}
