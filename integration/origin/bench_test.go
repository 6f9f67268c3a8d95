package origin_test

import (
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// BenchmarkNode compares the lookup that every container needs with a call to containerd, which it needs unless
// containerd's event about the snapshot has arrived.
func BenchmarkNode(b *testing.B) {
	l := newLab(b)
	pushed := l.push(b, "bench/app:v1", "bench")
	_, container := l.run(b, node.Container{Image: pushed.Reference})
	l.awaitFollowing(b)
	connection := rig.Must(client.New(l.ContainerdSocket()))(b)
	defer connection.Close()
	ctx := namespaces.WithNamespace(b.Context(), "k8s.io")

	b.Run("snapshot stat", func(b *testing.B) {
		in := connection.SnapshotService("overlayfs")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := in.Stat(ctx, container); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rootfs", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := l.verify(b, container, pushed.Config); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("image", func(b *testing.B) {
		q := question(pushed)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.origin.Image(b.Context(), q); err != nil {
				b.Fatal(err)
			}
		}
	})
}
