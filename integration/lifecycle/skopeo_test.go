package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
)

// copies has skopeo copy an image with its signatures to a directory, and returns check's name of that.
func (l *lab) copies(t *testing.T, image node.Pushed, options ...string) string {
	t.Helper()
	registries, target := t.TempDir(), filepath.Join(t.TempDir(), "image")
	attached := fmt.Sprintf("docker:\n  %s:\n    use-sigstore-attachments: true\n", l.registry.Host)
	no(t, os.WriteFile(filepath.Join(registries, "attached.yaml"), []byte(attached), 0o600))
	arguments := append([]string{"--insecure-policy", "--registries.d", registries, "copy"}, options...)
	arguments = append(arguments, "--src-tls-verify=false", "docker://"+image.Reference, "dir:"+target)
	output, err := exec.CommandContext(t.Context(), node.Skopeo(t), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo %s: %v\n%s", arguments, err, output)
	}
	return "dir:" + target
}

// plainIndex pushes an index for two platforms in the words of OCI's specification of 2017, and also returns what this
// machine runs of it. skopeo 1.9 writes what it read of an index anew, in its own order and without the fields that it
// does not know, such as artifactType. Where the index is signed it refuses instead: "Manifest list must be converted
// to type … but we cannot modify it".
func (l *lab) plainIndex(t *testing.T, repository string) (index, instance node.Pushed) {
	t.Helper()
	children := make([]ocispec.Descriptor, 0, 2)
	for _, architecture := range []string{"s390x", runtime.GOARCH} {
		platform := v1.Platform{OS: "linux", Architecture: architecture}
		image := must(l.tools.ImageFor(repository+" for "+architecture, platform))(t)
		instance = must(l.registry.Push(t.Context(), repository, image))(t)
		children = append(children, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: instance.Digest, Size: must(image.Size())(t),
			Platform: &ocispec.Platform{OS: platform.OS, Architecture: architecture},
		})
	}
	contents := must(json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	}))(t)
	name := repository + ":v1"
	return must(l.registry.PushManifest(t.Context(), name, ocispec.MediaTypeImageIndex, contents))(t), instance
}

func (l *lab) checkDirectories(t *testing.T) {
	signed, unsigned := l.signed(t, "dir/signed:v1"), l.push(t, "dir/unsigned:v1")
	onIndex, _ := l.plainIndex(t, "dir/index")
	l.sign(t, onIndex, false)
	onInstance, instance := l.plainIndex(t, "dir/instance")
	l.sign(t, instance, false)
	onBoth, _ := l.plainIndex(t, "dir/both")
	l.sign(t, onBoth, true)
	onNone, _ := l.plainIndex(t, "dir/none")
	all := []string{"--all"}
	for name, test := range map[string]struct {
		image   node.Pushed
		options []string
		want    string
	}{
		"a signed image":                       {signed, nil, "0 accepted"},
		"an unsigned image":                    {unsigned, nil, "1 unsigned"},
		"this platform of a signed instance":   {onInstance, nil, "0 accepted"},
		"this platform of a signed index":      {onIndex, nil, "1 unsigned"},
		"all of an index that is signed":       {onIndex, all, "0 accepted"},
		"all of an index with its instance":    {onInstance, all, "0 accepted"},
		"all of an index that is signed twice": {onBoth, all, "0 accepted"},
		"all of an index that is not signed":   {onNone, all, "1 unsigned"},
	} {
		t.Run(name, func(t *testing.T) {
			directory := l.copies(t, test.image, test.options...)
			if got := outcome(l.check(t, "-n", strict, "--image", directory, test.image.Reference)); got != test.want {
				t.Errorf("it says %s; want %s", got, test.want)
			}
			// The name is the image's own origin: that of another repository is not what was signed.
			other := l.registry.Host + "/dir/other:v1"
			if status, said := l.check(t, "-n", strict, "--image", directory, other); status != 1 {
				t.Errorf("under another name it says %s", outcome(status, said))
			}
			if got := outcome(l.check(t, "-n", loose, "--image", directory, test.image.Reference)); got != "0 accepted" {
				t.Errorf("in a loose namespace it says %s", got)
			}
		})
	}
}
