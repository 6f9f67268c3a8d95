package origin_test

import (
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
)

// TestOnARealNode shares one node, because booting a node takes longer than a test.
func TestOnARealNode(t *testing.T) {
	l := newLab(t)
	t.Run("root filesystems are distinguished", l.rootfsIsTold)
	t.Run("an image is known by all its names", l.imageIsKnown)
	t.Run("an image is known when its pull has ended", l.imageIsKnownAtOnce)
	t.Run("an alias that leads elsewhere is seen in the rootfs", l.aliasIsSeen)
	t.Run("an image volume is known by its files", l.volumeIsKnown)
	t.Run("a remapped copy of an image is recognised", l.remappedIsRecognised)
	// This one stops containerd, so it cannot run in parallel with others.
	t.Run("containerd comes back with other names", l.restartIsSurvived)
}

func (l *lab) rootfsIsTold(t *testing.T) {
	one, two := l.push(t, "rootfs/one:v1", "one"), l.push(t, "rootfs/two:v1", "two")
	_, a := l.run(t, node.Container{Image: one.Reference})
	_, b := l.run(t, node.Container{Image: two.Reference})
	for container, config := range map[string]digest.Digest{a: one.Config, b: two.Config} {
		if err := l.verify(t, container, config); err != nil {
			t.Error(err)
		}
	}
	l.discovered(t, a, one)
	l.discovered(t, b, two)
	refused(t, l.verify(t, a, two.Config), policy.UnknownOrigin, "the layers of image")
	refused(t, l.verify(t, b, one.Config), policy.UnknownOrigin, "the layers of image")
	refused(t, l.verify(t, "nobody", one.Config), policy.UnknownOrigin, "no snapshotter")
	refused(t, l.verify(t, a, digest.FromString("nothing")), policy.Unavailable, "content store")
}

func (l *lab) imageIsKnown(t *testing.T) {
	image := l.image(t, "known")
	index := node.Index(node.Child{Manifest: image, Platform: node.Linux(runtime.GOARCH)}, node.Child{
		Manifest: rig.Must(l.Tools.ImageFor("elsewhere", v1.Platform{OS: "linux", Architecture: "s390x"}))(t),
		Platform: node.Linux("s390x"),
	})
	single := rig.Must(l.registry.Push(t.Context(), "known/single:v1", image))(t)
	listed := rig.Must(l.registry.PushIndex(t.Context(), "known/listed:v1", index))(t)
	for _, reference := range []string{single.Reference, listed.Reference} {
		rig.Must(l.CRI.PullImage(t.Context(), reference, nil, nil))(t)
	}
	await(t, "the events of the pulls", func() bool { return len(l.originals(t, single)) == 4 })
	want := []string{single.Reference, single.ByDigest(), listed.Reference, listed.ByDigest()}
	slices.Sort(want)
	if difference := cmp.Diff(want, l.originals(t, single)); difference != "" {
		t.Error(difference)
	}
	found := rig.Must(l.origin.Image(t.Context(), question(single)))(t)
	var manifests []digest.Digest
	for _, manifest := range found.Manifests {
		manifests = append(manifests, manifest.Digest)
	}
	if difference := cmp.Diff([]digest.Digest{single.Digest, listed.Digest}, manifests); difference != "" {
		t.Error(difference)
	}
	if repositories := found.Manifests[1].Repositories; !slices.Equal(repositories, []string{listed.Repository}) {
		t.Errorf("the index is of %v, want %v", repositories, listed.Repository)
	}
	l.origin.Confirm(question(single))
	await(t, "confirmation", func() bool {
		return rig.Must(l.origin.Image(t.Context(), question(single)))(t).Confirmed
	})
}

// imageIsKnownAtOnce looks an image up immediately after its pull, when its events may not have arrived yet.
func (l *lab) imageIsKnownAtOnce(t *testing.T) {
	for _, marker := range []string{"a", "b", "c", "d", "e"} {
		pushed := l.push(t, "once/"+marker+":v1", "at once "+marker)
		rig.Must(l.CRI.PullImage(t.Context(), pushed.Reference, nil, nil))(t)
		if _, err := l.origin.Image(t.Context(), question(pushed)); err != nil {
			t.Error(err)
		}
	}
}

func (l *lab) aliasIsSeen(t *testing.T) {
	signed, evil := l.image(t, "signed"), l.image(t, "evil")
	victim := rig.Must(l.registry.Push(t.Context(), "victim/app:v1", signed))(t)
	_, before := l.run(t, node.Container{Image: victim.Reference})

	alias := rig.Must(l.registry.Push(t.Context(), "aaa/evil:1", signed))(t)
	rig.Must(l.CRI.PullImage(t.Context(), alias.Reference, nil, nil))(t)
	elsewhere := rig.Must(l.Tools.ImageFor("elsewhere", v1.Platform{OS: "linux", Architecture: "s390x"}))(t)
	index := rig.Must(l.registry.PushIndex(t.Context(), "aaa/evil:1", node.Index(
		node.Child{Manifest: evil},
		node.Child{Manifest: elsewhere, Platform: node.Linux("s390x")},
		node.Child{Manifest: signed},
	)))(t)
	if _, err := l.CRI.PullImage(t.Context(), index.Reference, nil, nil); err == nil {
		t.Fatal("the second pull went well: this containerd needs another attack")
	}
	pod, after := l.run(t, node.Container{Image: victim.Reference})
	if marker := rig.Must(pod.Marker(t.Context()))(t); marker != "evil" {
		t.Fatalf("the pod runs %q, so there is nothing to be seen", marker)
	}
	if err := l.verify(t, before, victim.Config); err != nil {
		t.Errorf("the container from before the attack: %v", err)
	}
	refused(t, l.verify(t, after, victim.Config), policy.UnknownOrigin, "the layers of image")
}

func (l *lab) volumeIsKnown(t *testing.T) {
	app, data := l.push(t, "volume/app:v1", "volume app"), l.push(t, "volume/data:v1", "volume data")
	pod, container := l.run(t, node.Container{
		Image:   app.Reference,
		Volumes: []node.Volume{{Image: data.Reference, Path: "/data"}},
	})
	var found int
	for _, source := range l.mountSources(t, container) {
		volume, ok, err := l.origin.Volume(t.Context(), pod.Sandbox, source)
		if err != nil {
			t.Error(err)
		}
		if !ok {
			continue
		}
		found++
		if difference := cmp.Diff([]digest.Digest{data.Config}, volume.All()); difference != "" {
			t.Error(difference)
		}
		_, ok, err = l.origin.Volume(t.Context(), "another sandbox", source)
		if !ok {
			t.Error("it is not recognised as an image volume")
		}
		refused(t, err, policy.UnknownOrigin, "made for sandbox")
	}
	if found != 1 {
		t.Errorf("%d image volumes, want 1", found)
	}
}

// mountSources returns the paths of a container's mounts on the host.
func (l *lab) mountSources(t *testing.T, container string) []string {
	t.Helper()
	raw := rig.Must(l.Ctr(t.Context(), "--namespace", "k8s.io", "containers", "info", "--spec", container))(t)
	var spec struct {
		Mounts []struct{ Source string }
	}
	if err := json.Unmarshal([]byte(raw), &spec); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	var sources []string
	for _, mount := range spec.Mounts {
		sources = append(sources, mount.Source)
	}
	return sources
}

// remappedIsRecognised creates the snapshot of a container in a user namespace with containerd's own client, in a
// snapshotter that cannot map IDs.
func (l *lab) remappedIsRecognised(t *testing.T) {
	pushed, other := l.push(t, "remapped/app:v1", "remapped"), l.push(t, "remapped/other:v1", "another")
	for _, image := range []node.Pushed{pushed, other} {
		rig.Must(l.CRI.PullImage(t.Context(), image.Reference, nil, nil))(t)
	}
	connection := rig.Must(client.New(l.ContainerdSocket()))(t)
	defer connection.Close()
	ctx := namespaces.WithNamespace(t.Context(), "k8s.io")
	ctx, release, err := connection.WithLease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()
	image := rig.Must(connection.GetImage(ctx, pushed.Reference))(t)
	if err := image.Unpack(ctx, "native"); err != nil {
		t.Fatal(err)
	}
	rig.Must(connection.NewContainer(ctx, "remapped", client.WithSnapshotter("native"),
		client.WithNewSnapshot("remapped", image, client.WithRemapperLabels(0, 100000, 0, 100000, 65536)),
		client.WithRuntime("io.containerd.runc.v2", nil)))(t)
	info := rig.Must(connection.SnapshotService("native").Stat(ctx, "remapped"))(t)
	unmapped := rig.Must(image.RootFS(ctx))(t)
	if info.Parent == unmapped[len(unmapped)-1].String() {
		t.Fatal("there is no copy to recognise")
	}
	if err := l.verify(t, "remapped", pushed.Config); err != nil {
		t.Error(err)
	}
	l.discovered(t, "remapped", pushed)
	refused(t, l.verify(t, "remapped", other.Config), policy.UnknownOrigin, "the layers of image")
}

func (l *lab) restartIsSurvived(t *testing.T) {
	kept, gone := l.push(t, "restart/kept:v1", "kept"), l.push(t, "restart/gone:v1", "gone")
	_, container := l.run(t, node.Container{Image: kept.Reference})
	rig.Must(l.CRI.PullImage(t.Context(), gone.Reference, nil, nil))(t)
	l.originals(t, gone)
	if err := l.StopContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the loss of containerd to be noticed", func() bool { return !l.origin.State().Following })
	_, err := l.origin.Image(t.Context(), question(kept))
	refused(t, err, policy.Unavailable, "listing containerd's images")
	refused(t, l.verify(t, container, kept.Config), policy.Unavailable, "snapshot")

	if err := l.StartContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.CRI.RemoveImage(t.Context(), gone.Reference); err != nil {
		t.Fatal(err)
	}
	l.awaitFollowing(t)
	if err := l.verify(t, container, kept.Config); err != nil {
		t.Error(err)
	}
	if got := l.originals(t, kept); len(got) != 2 {
		t.Errorf("the originals are %v", got)
	}
	await(t, "the image that went to be forgotten", func() bool {
		_, err := l.origin.Image(t.Context(), question(gone))
		return err != nil
	})
}
