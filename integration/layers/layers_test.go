package layers_test

import (
	"fmt"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestImagesWithTheSameLayers attacks a node with each kind of snapshotter. Each attack has its own repository.
func TestImagesWithTheSameLayers(t *testing.T) {
	w := rig.NewWorkshop(t)
	for _, snapshotter := range []string{"overlayfs", "native"} {
		t.Run(snapshotter, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, w, node.Config{Snapshotter: snapshotter})
			t.Run("an unsigned image in the repository of a signed one", l.siblings)
			t.Run("images with labels", l.labels)
			t.Run("a tag that moved between the pull and the creation", l.movedTag)
			t.Run("an alias gives the signed image the attacker's files", l.aliasOfSigned)
			t.Run("an alias gives the attacker's image the signed files", l.aliasOfEvil)
			t.Run("a name that is gone", l.goneName)
			t.Run("repositories that share layers", l.repositories)
		})
	}
}

// siblings: by no reference does the unsigned image run. The signed one runs by its digest and its ID.
func (l *lab) siblings(t *testing.T) {
	w := l.newTwins(t, "siblings/app")
	pods := l.pods(t, w.signed)
	l.want(t, pods, of(w.signed, w.signed.Reference), w.marker)
	l.Pull(t, w.unsigned)
	for _, reference := range []string{w.unsigned.Reference, w.unsigned.ByDigest(), w.unsigned.Config.String()} {
		l.want(t, pods, of(w.unsigned, reference), "creation: unsigned")
	}
	// It is not the one that the pod names.
	l.want(t, pods, of(w.unsigned, w.signed.Reference), "creation: unsigned")
	l.want(t, pods, of(w.unsigned, w.signed.ByDigest()), byRelease(l, "creation: unknown-origin", "start: unknown-origin"))
	l.want(t, pods, of(w.unsigned, w.signed.Config.String()),
		byRelease(l, "creation: unknown-origin", "start: unknown-origin"))

	l.want(t, pods, of(w.signed, w.signed.ByDigest()), w.marker)
	l.want(t, pods, of(w.signed, w.signed.Config.String()), w.marker)
	// Nothing tells which of the images of the repository would run.
	l.want(t, pods, of(w.signed, w.signed.Reference), byRelease(l, w.marker, "creation: unsigned"))
	rig.OK(t, l.CRI.RemoveImage(t.Context(), w.unsigned.Config.String()))
	l.wantSoon(t, pods, of(w.signed, w.signed.Reference), w.marker)
}

// labels tells images with the same layers apart by their labels, which each container has from its image.
func (l *lab) labels(t *testing.T) {
	good := l.Image(t, "labels/app")
	w := l.twinsOf(t, "labels/app", labelled(t, good, "1"), labelled(t, saying(t, good), "2"))
	pods := l.pods(t, w.signed)
	l.Pull(t, w.unsigned)
	for _, reference := range []string{w.signed.Reference, w.signed.ByDigest(), w.signed.Config.String()} {
		l.want(t, pods, of(w.signed, reference), w.marker)
	}
	for _, reference := range []string{w.unsigned.Reference, w.unsigned.ByDigest(), w.unsigned.Config.String()} {
		l.want(t, pods, of(w.unsigned, reference), "creation: unsigned")
	}
	l.want(t, pods, of(w.unsigned, w.signed.Reference), "creation: unsigned")
	// An image that copies the label of the signed one cannot be told from it.
	l.Pull(t, l.pushAs(t, "labels/app:copied", labelled(t, saying(t, good), "1")))
	l.want(t, pods, of(w.signed, w.signed.Reference), byRelease(l, w.marker, "creation: unsigned"))
	l.want(t, pods, of(w.signed, w.signed.ByDigest()), w.marker)
}

// wantSoon waits until an event has arrived.
func (l *lab) wantSoon(t *testing.T, pods map[string]*node.RunningPod, a asks, want string) {
	t.Helper()
	for kind, pod := range pods {
		rig.Eventually(t, want, func() error {
			if got := l.try(t, pod, a); got != want {
				return fmt.Errorf("in %s, %s as %s: %s", kind, a.id, a.reference, got)
			}
			return nil
		})
	}
}

func (l *lab) movedTag(t *testing.T) {
	w := l.newTwins(t, "moved/app")
	pods := l.pods(t, w.signed)
	moving := w.signed.Repository + ":moving"
	rig.OK(t, l.moved(t.Context(), w.unsigned, "moving"))
	l.want(t, pods, of(w.unsigned, moving), "creation: unsigned")
	// The kubelet has the unsigned image's ID from before, and the tag is that of the signed image by now.
	rig.OK(t, l.moved(t.Context(), w.signed, "moving"))
	l.want(t, pods, of(w.unsigned, moving), "creation: unsigned")
	l.want(t, pods, of(w.signed, moving), byRelease(l, w.marker, "creation: unsigned"))
	// The other way round.
	rig.OK(t, l.moved(t.Context(), w.unsigned, "moving"))
	l.want(t, pods, of(w.signed, moving), byRelease(l, w.marker, "creation: unsigned"))
	l.want(t, pods, of(w.signed, w.signed.ByDigest()), w.marker)
}

// aliasOfSigned: another name of the signed image sorts before its own, and leads to the attacker's files.
func (l *lab) aliasOfSigned(t *testing.T) {
	w := l.newTwins(t, "victim/app")
	pods := l.pods(t, w.signed)
	evil := l.Image(t, "attacker/files")
	alias := l.pushAs(t, "aaa/app:v1", w.signedImage)
	l.Pull(t, alias)
	rig.OK(t, l.repoint(t.Context(), t, "aaa/app:v1",
		node.Index(node.Child{Manifest: evil}, l.elsewhere(t), node.Child{Manifest: w.signedImage})))
	for _, reference := range []string{w.signed.Reference, w.signed.ByDigest(), w.signed.Config.String()} {
		l.want(t, pods, of(w.signed, reference), "creation: unknown-origin")
	}
	// With a name of its own in the repository, the attacker's image is the one that has these files.
	pushed := l.pushAs(t, "victim/app:evil", evil)
	l.Pull(t, pushed)
	l.want(t, pods, of(w.signed, w.signed.Reference), byRelease(l, "creation: unknown-origin", "creation: unsigned"))
	l.want(t, pods, of(pushed, pushed.Reference), "creation: unsigned")

	rig.OK(t, l.Registry.Tag(t.Context(), alias, "v1"))
	l.Pull(t, alias)
	l.want(t, pods, of(w.signed, w.signed.Reference), w.marker)
}

// aliasOfEvil: another name of the attacker's image leads to the signed files, so that nothing but the record tells
// that its entry point runs on them.
func (l *lab) aliasOfEvil(t *testing.T) {
	w := l.newTwins(t, "turned/app")
	pods := l.pods(t, w.signed)
	evil := saying(t, l.Image(t, "turned/evil"))
	pushed := l.pushAs(t, "turned/app:evil", evil)
	l.Pull(t, pushed)
	alias := l.pushAs(t, "aaa/turned:v1", evil)
	l.Pull(t, alias)
	rig.OK(t, l.repoint(t.Context(), t, "aaa/turned:v1",
		node.Index(node.Child{Manifest: w.signedImage}, l.elsewhere(t), node.Child{Manifest: evil})))
	for _, reference := range []string{w.signed.Reference, w.signed.ByDigest()} {
		l.want(t, pods, of(pushed, reference), byRelease(l, "creation: unknown-origin", "start: unknown-origin"))
	}
	l.want(t, pods, of(pushed, pushed.ByDigest()), "creation: unknown-origin")
	l.want(t, pods, of(pushed, pushed.Config.String()), "creation: unknown-origin")
	l.want(t, pods, of(w.signed, w.signed.Reference), w.marker)
}

// goneName: the unsigned image has no name in the repository any more, so that the validation does not find it.
func (l *lab) goneName(t *testing.T) {
	w := l.newTwins(t, "gone/app")
	pods := l.pods(t, w.signed)
	l.loseNames(t, w)
	want := byRelease(l, "creation: unknown-origin", "start: unknown-origin")
	l.wantSoon(t, pods, of(w.unsigned, w.signed.Reference), want)
	l.want(t, pods, of(w.signed, w.signed.Reference), w.marker)
}

// loseNames pulls the unsigned image, and removes its names but for its ID.
func (l *lab) loseNames(t *testing.T, w twins) {
	t.Helper()
	l.Pull(t, w.unsigned)
	for _, name := range []string{w.unsigned.Reference, w.unsigned.ByDigest()} {
		rig.Must(l.Ctr(t.Context(), "images", "rm", name))(t)
	}
}

// repositories: images of other repositories do not count, whatever their layers are.
func (l *lab) repositories(t *testing.T) {
	w := l.newTwins(t, "first/app")
	pods := l.pods(t, w.signed)
	other := l.pushAs(t, "second/app:v1", w.evilOne)
	l.Pull(t, other)
	for _, reference := range []string{w.signed.Reference, w.signed.ByDigest(), w.signed.Config.String()} {
		l.want(t, pods, of(w.signed, reference), w.marker)
	}
	for _, reference := range []string{other.Reference, other.ByDigest(), other.Config.String()} {
		l.want(t, pods, of(other, reference), "creation: unsigned")
	}
	l.want(t, pods, of(other, w.signed.Reference), byRelease(l, "creation: unknown-origin", "start: unknown-origin"))
	pod := l.started(t, l.Pod(loose, other))
	if got := rig.Must(pod.Marker(t.Context()))(t); got != unsignedSays {
		t.Errorf("in a namespace that accepts it the other image prints %q", got)
	}
}
