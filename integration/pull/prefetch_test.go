package pull_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// otherWays are images that no verifier sees: imported, tagged, and present before the daemon started.
func (w *workshop) otherWays(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.Distribution(), nil)
	early := l.signed(t, "shop/early:v1", bundle)
	l.imports(t, early)
	l.Start(t)
	t.Run("before the daemon starts", func(t *testing.T) { awaitStored(t, l.Daemon, early) })
	imported := l.signed(t, "shop/imported:v1", old)
	// No document requires a signature of this image, so its evidence is not fetched.
	other := l.Push(t, "elsewhere/imported:v1")
	before := len(asked(t, l.Registry, l.repository(other)))
	t.Run("by an import", func(t *testing.T) {
		l.imports(t, other)
		l.imports(t, imported)
		awaitStored(t, l.Daemon, imported)
	})
	tagged := rig.Must(l.Registry.Push(t.Context(), "shop/tagged:v1", l.Image(t, "shop/imported:v1")))(t)
	t.Run("by another tag", func(t *testing.T) {
		l.sign(t, tagged, bundle)
		rig.Must(l.Ctr(t.Context(), "images", "tag", imported.Reference, tagged.Reference))(t)
		awaitStored(t, l.Daemon, tagged)
	})
	t.Run("and that is reported", func(t *testing.T) {
		rig.Logged(t, l.Daemon, "prefetching evidence")
		const series = `countersign_prefetches_total{result="looked"}`
		if looked, err := l.Daemon.Metric(t.Context(), series); err != nil || looked < 3 {
			t.Errorf("%s is %v, %v; there were three images to look at", series, looked, err)
		}
	})
	t.Run("and run without a registry", func(t *testing.T) {
		rig.OK(t, l.Registry.Stop())
		l.runsAtOnce(t, prod, early)
		l.runsAtOnce(t, prod, imported)
		if after := asked(t, l.Registry, l.repository(other))[before:]; len(after) > 0 {
			t.Errorf("for an image of which no document requires a signature, the registry received %+v", after)
		}
	})
}

// imports imports an image archive into containerd, under the name under which the image was pushed.
func (l *lab) imports(t *testing.T, image node.Pushed) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "image.tar")
	writeArchive(t, archive, l.Image(t, l.Marker(image)), image.Reference)
	rig.Must(l.Ctr(t.Context(), "images", "import", archive))(t)
}

// writeArchive writes an OCI layout with one image, as a tar file.
func writeArchive(t *testing.T, path string, image v1.Image, name string) {
	t.Helper()
	directory := t.TempDir()
	written := rig.Must(layout.Write(directory, empty.Index))(t)
	rig.OK(t, written.AppendImage(image, layout.WithAnnotations(map[string]string{"io.containerd.image.name": name})))
	file := rig.Must(os.Create(path))(t)
	archive := tar.NewWriter(file)
	rig.OK(t, archive.AddFS(os.DirFS(directory)))
	rig.OK(t, archive.Close())
	rig.OK(t, file.Close())
}
