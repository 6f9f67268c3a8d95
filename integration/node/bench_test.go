package node_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func BenchmarkBoot(b *testing.B) {
	tools := node.NewTools(b)
	for b.Loop() {
		n, err := node.Boot(b.Context(), node.Config{Tools: tools})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := n.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkRunPod(b *testing.B) {
	tools := node.NewTools(b)
	n := node.Start(b, node.Config{Tools: tools})
	registry := node.NewRegistry(b, node.RegistryConfig{Tools: tools})
	pushed := push(b, tools, registry, "app:v1", "v1")
	for b.Loop() {
		pod, err := n.RunPod(b.Context(), node.Pod{
			Namespace: "default", Container: node.Container{Image: pushed.Reference},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := pod.Remove(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
