package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
)

// Image makes the image with that marker; it is the same each time.
func (r *Rig) Image(t testing.TB, marker string) v1.Image {
	t.Helper()
	return Must(r.Tools.Image(marker))(t)
}

// Push pushes the image whose marker is its name.
func (r *Rig) Push(t testing.TB, name string) node.Pushed {
	t.Helper()
	return Must(r.Registry.Push(t.Context(), name, r.Image(t, name)))(t)
}

// Index pushes an index of two platforms. It also returns the manifest that this machine runs, whose marker is the
// index's name.
func (r *Rig) Index(t testing.TB, name string) (index, instance node.Pushed) {
	t.Helper()
	here, elsewhere := r.Image(t, name), Must(r.Tools.ImageFor(name+" elsewhere", *node.Linux("s390x")))(t)
	index = Must(r.Registry.PushIndex(t.Context(), name, node.Index(
		node.Child{Manifest: elsewhere, Platform: node.Linux("s390x")},
		node.Child{Manifest: here, Platform: node.Linux(runtime.GOARCH)},
	)))(t)
	instance = node.Pushed{
		Repository: index.Repository,
		Digest:     digest.Digest(Must(here.Digest())(t).String()),
		Config:     digest.Digest(Must(here.ConfigName())(t).String()),
	}
	instance.Reference = instance.ByDigest()
	return index, instance
}

// Marker returns the marker of an image that Push or Index has pushed.
func (r *Rig) Marker(image node.Pushed) string {
	return strings.TrimPrefix(image.Reference, r.Registry.Host+"/")
}

// Pull pulls an image without a pod. The pull must be allowed. It returns the image's ID.
func (r *Rig) Pull(t testing.TB, image node.Pushed) string {
	t.Helper()
	id, err := r.CRI.PullImage(t.Context(), image.Reference, nil, nil)
	if err != nil {
		t.Fatalf("%s should be pulled: %v", image.Reference, err)
	}
	return id
}

// SkopeoCopy copies an image with its signatures to a directory with skopeo, and returns the argument for --image.
func (r *Rig) SkopeoCopy(t testing.TB, image node.Pushed, options ...string) string {
	t.Helper()
	registries, target := t.TempDir(), filepath.Join(t.TempDir(), "image")
	attached := fmt.Sprintf("docker:\n  %s:\n    use-sigstore-attachments: true\n", r.Registry.Host)
	OK(t, os.WriteFile(filepath.Join(registries, "attached.yaml"), []byte(attached), 0o600))
	arguments := append([]string{"--insecure-policy", "--registries.d", registries, "copy"}, options...)
	arguments = append(arguments, "--src-tls-verify=false", "docker://"+image.Reference, "dir:"+target)
	output, err := exec.CommandContext(t.Context(), node.Skopeo(t), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo %s: %v\n%s", arguments, err, output)
	}
	return "dir:" + target
}
