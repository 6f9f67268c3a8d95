package lifecycle_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// does runs a command that must succeed and print something.
func (l *lab) does(t *testing.T, want string, arguments ...string) {
	t.Helper()
	if got := rig.Must(l.Evidence(t, arguments...))(t); !strings.Contains(got, want) {
		t.Errorf("%s prints %s, without %q", arguments, got, want)
	}
}

// storedEvidence runs the evidence commands on a node with images, with and without the daemon.
func (l *lab) storedEvidence(t *testing.T) {
	signed, unsigned := l.signed(t, "kept/signed:v1"), l.Push(t, "kept/unsigned:v1")
	index, instance := l.plainIndex(t, "kept/index")
	l.sign(t, index, true)
	images := []node.Pushed{signed, unsigned, index}
	for _, image := range images {
		l.Pull(t, image)
	}
	for _, way := range []string{"by the daemon", "without a daemon"} {
		t.Run(way, func(t *testing.T) {
			l.does(t, signed.Reference+": stored 1 signature and 0 bundles of 1 manifest", "fetch", signed.Reference)
			// The index, and the manifest on this node that it lists.
			l.does(t, index.Reference+": stored 2 signatures and 0 bundles of 2 manifests", "fetch", index.Reference)
			all, err := l.Evidence(t, "fetch", "--all")
			// The sandbox image's registry does not exist.
			if err == nil || !strings.Contains(err.Error(), "countersign: countersign.test/pause:1: ") {
				t.Errorf("the failure of the fetch is reported as %v", err)
			}
			for _, image := range images {
				if !strings.Contains(all, image.Reference+": ") {
					t.Errorf("of %s nothing was fetched: %s", image.Reference, all)
				}
			}
			l.does(t, signed.Digest.String(), "list", signed.Reference)
			l.does(t, instance.Digest.String(), "list", index.Reference)
			l.does(t, "UNVERIFIED", "show", index.Reference)
			l.exports(t, signed)
		})
		rig.OK(t, l.Daemon.Terminate(t.Context()))
		rig.OK(t, os.RemoveAll(l.Daemon.EvidenceDirectory()))
	}
	t.Run("brought by cosign and skopeo", func(t *testing.T) { l.brings(t, signed, index) })
	l.Start(t)
	rig.OK(t, l.Registry.Stop())
	l.runs(t, strict, signed)
	if got := l.Check(t, "-n", strict, index.Reference).String(); got != "0 accepted" {
		t.Errorf("of an index whose signatures were imported check says %s", got)
	}
	rig.OK(t, l.Registry.Start(t.Context()))
}

// exports checks that exported evidence refers to its image, whose size only containerd knows.
func (l *lab) exports(t *testing.T, image node.Pushed) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "evidence.tar")
	l.does(t, "1 signature and 0 bundles of 1 manifest", "export", image.Reference, "-o", path)
	for _, content := range contents(t, path) {
		var manifest ocispec.Manifest
		if json.Unmarshal(content, &manifest) != nil || manifest.Subject == nil {
			continue
		}
		if got := *manifest.Subject; got.Digest != image.Digest || got.Size != image.Size || got.MediaType == "" {
			t.Errorf("the subject is %+v, want %s of %d bytes", got, image.Digest, image.Size)
		}
		return
	}
	t.Error("nothing in it has a subject")
}

// contents returns the contents of a tar's files.
func contents(t *testing.T, path string) (all [][]byte) {
	t.Helper()
	file := rig.Must(os.Open(path))(t)
	defer file.Close()
	for reader := tar.NewReader(file); ; {
		_, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		rig.OK(t, err)
		all = append(all, rig.Must(io.ReadAll(reader))(t))
	}
}

// brings imports evidence on a node without the images: one image's saved by cosign, another's copied by skopeo.
func (l *lab) brings(t *testing.T, saved, copied node.Pushed) {
	t.Helper()
	directory := t.TempDir()
	rig.Must(l.Tools.Cosign(t.Context(), nil, "save", "--allow-insecure-registry", "--allow-http-registry",
		"--dir", directory, saved.Reference))(t)
	l.does(t, "1 signature and 0 bundles of 1 manifest, 1 of them new", "import", "--as", saved.Reference, directory)
	l.does(t, "3 signatures and 0 bundles of 3 manifests, 3 of them new",
		"import", "--as", copied.Reference, l.SkopeoCopy(t, copied, "--all"))
	l.does(t, "1 imported", "list", saved.Digest.String())
}
