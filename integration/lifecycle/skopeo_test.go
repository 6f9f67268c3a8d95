package lifecycle_test

import (
	"encoding/json"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// plainIndex pushes an index for two platforms with only the fields of the OCI specification of 2017, and also returns
// the manifest that this machine runs. skopeo 1.9 rewrites an index in its own order and without the fields that it
// does not know, such as artifactType. If the index is signed, skopeo fails instead: "Manifest list must be converted
// to type … but we cannot modify it".
func (l *lab) plainIndex(t *testing.T, repository string) (index, instance node.Pushed) {
	t.Helper()
	children := make([]ocispec.Descriptor, 0, 2)
	for _, architecture := range []string{"s390x", runtime.GOARCH} {
		platform := v1.Platform{OS: "linux", Architecture: architecture}
		image := rig.Must(l.Tools.ImageFor(repository+" for "+architecture, platform))(t)
		instance = rig.Must(l.Registry.Push(t.Context(), repository, image))(t)
		children = append(children, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: instance.Digest, Size: rig.Must(image.Size())(t),
			Platform: &ocispec.Platform{OS: platform.OS, Architecture: architecture},
		})
	}
	contents := rig.Must(json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	}))(t)
	name := repository + ":v1"
	return rig.Must(l.Registry.PushManifest(t.Context(), name, ocispec.MediaTypeImageIndex, contents))(t), instance
}

func (l *lab) checkDirectories(t *testing.T) {
	signed, unsigned := l.signed(t, "dir/signed:v1"), l.Push(t, "dir/unsigned:v1")
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
			directory := l.SkopeoCopy(t, test.image, test.options...)
			if got := l.Check(t, "-n", strict, "--image", directory, test.image.Reference).String(); got != test.want {
				t.Errorf("it says %s; want %s", got, test.want)
			}
			// The name must be the image's own: the signature is not for another repository.
			other := l.Registry.Host + "/dir/other:v1"
			if got := l.Check(t, "-n", strict, "--image", directory, other); got.Status != 1 {
				t.Errorf("under another name it says %s", got)
			}
			if got := l.Check(t, "-n", loose, "--image", directory, test.image.Reference).String(); got != "0 accepted" {
				t.Errorf("in a loose namespace it says %s", got)
			}
		})
	}
}
