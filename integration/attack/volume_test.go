package attack_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"path"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign/countersign/integration/node"
)

func (l *lab) aliasOfVolume(t *testing.T) {
	signed, victim := l.signed(t, "shop/data:v1", "signed data")
	_, app := l.signed(t, "shop/reader:v1", "signed reader")
	evil := l.push(t, "aaa/data:v1", l.image(t, "the attacker's data"))
	container := node.Container{
		Image:   app.Reference,
		Volumes: []node.Volume{{Image: evil.Reference, Path: "/data", Pull: node.Never}},
	}
	// The path of the volume names an index that lists the signed manifest and no other that a node could run.
	disguise := func(n *node.Node) node.Pushed {
		t.Helper()
		l.push(t, "aaa/data:v1", l.image(t, "the attacker's data"))
		pull(t, n, victim.Reference)
		pull(t, n, evil.Reference)
		return l.repoint(t, n, "aaa/data:v1", l.elsewhere(t), node.Child{Manifest: signed})
	}
	index := disguise(l.bare)
	pod := l.begin(t, l.bare, strict, container)
	if got := must(pod.Exec(t.Context(), "main", "/witness", "print", "/data/marker"))(t); got != "the attacker's data\n" {
		t.Errorf("without countersign the volume contains %q", got)
	}
	status := must(l.bare.CRI.Status(t.Context(), pod.Containers["main"]))(t)
	if source := status.GetMounts()[0].GetHostPath(); path.Base(source) != index.Digest.Encoded() {
		t.Errorf("without countersign the volume is mounted from %s, and not by the index %s", source, index.Digest)
	}

	disguise(l.Node)
	decision := l.refused(t, strict, container, "unsigned")
	if !strings.Contains(decision.Scope+decision.Detail+decision.ConfigDigest, evil.Config.Encoded()) &&
		decision.Record["volume"] != "/data" {
		t.Errorf("the record is not about the volume: %v", decision.Record)
	}
	container.Volumes[0].Image = victim.Reference
	good := l.begin(t, l.Node, strict, container)
	if got := must(good.Exec(t.Context(), "main", "/witness", "print", "/data/marker"))(t); got != "signed data\n" {
		t.Errorf("the signed volume contains %q", got)
	}
}

func (l *lab) unsignedVolume(t *testing.T) {
	_, app := l.signed(t, "shop/mounts:v1", "signed mounts")
	evil := l.push(t, "aaa/mounted:v1", withFolder(t, l.image(t, "mounted")))
	pull(t, l.Node, evil.Reference)
	for name, image := range map[string]string{
		"by its name": evil.Reference, "by its digest": evil.ByDigest(), "by its ID": evil.Config.String(),
	} {
		t.Run(name, func(t *testing.T) {
			volume := node.Volume{Image: image, Path: "/mounted", Pull: node.Never}
			container := node.Container{Image: app.Reference, Volumes: []node.Volume{volume}}
			if record := l.refused(t, strict, container, "unsigned").Record; record["volume"] != "/mounted" {
				t.Errorf("the record does not name the volume: %v", record)
			}
			container.Volumes[0].SubPath = "folder"
			l.refused(t, strict, container, "unsigned")
		})
	}
}

// Only the files of a volume's image are in the container, and these files are the signed ones.
func (l *lab) borrowedVolume(t *testing.T) {
	_, app := l.signed(t, "shop/mounter:v1", "signed mounter")
	good := l.image(t, "signed files")
	unsigned := l.push(t, "aaa/files:v1", withEntrypoint(t, good, "/witness", "exit"))
	container := node.Container{
		Image:   app.Reference,
		Volumes: []node.Volume{{Image: unsigned.Reference, Path: "/files"}},
	}
	l.refused(t, strict, container, "unsigned")

	_, signed := l.signed(t, "shop/files:v1", "signed files")
	pull(t, l.Node, signed.Reference)
	pod := l.begin(t, l.Node, strict, container)
	if got := must(pod.Exec(t.Context(), "main", "/witness", "print", "/files/marker"))(t); got != "signed files\n" {
		t.Errorf("the volume contains %q", got)
	}
}

// withFolder returns an image with an additional folder.
func withFolder(t *testing.T, image v1.Image) v1.Image {
	t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeDir, Name: "folder/", Mode: 0o755}
	if err := errors.Join(writer.WriteHeader(header), writer.Close()); err != nil {
		t.Fatal(err)
	}
	return must(mutate.AppendLayers(image, static.NewLayer(archive.Bytes(), types.OCIUncompressedLayer)))(t)
}
