package archive_test

import (
	"encoding/json"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestOthersReadWhatIsWritten reads the layout with go-containerregistry, as crane does, and compares every document
// with the rules of image-spec v1.1.1.
func TestOthersReadWhatIsWritten(t *testing.T) {
	path, err := ggcr.FromPath(extract(t, write(t, items(t))))
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Errorf("it is not valid: %v", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, descriptor := range manifest.Manifests {
		kinds[descriptor.ArtifactType]++
		image, err := path.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := image.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		checkArtifact(t, path, raw, descriptor)
	}
	for kind, want := range map[string]int{
		"application/vnd.dev.cosign.artifact.sig.v1+json":      1,
		"application/vnd.dev.sigstore.bundle.v0.3+json":        3,
		"application/vnd.countersign.simplesigning.openpgp.v1": 2,
	} {
		if kinds[kind] != want {
			t.Errorf("it has %d artifacts of type %s, not %d", kinds[kind], kind, want)
		}
	}
}

// checkArtifact compares a manifest with what image-spec v1.1.1 requires of an artifact (manifest.md, guidelines for
// artifact usage): an artifact type where the config is the empty one, at least one layer, descriptors that fit.
func checkArtifact(t *testing.T, path ggcr.Path, raw []byte, descriptor v1.Descriptor) {
	t.Helper()
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.SchemaVersion != 2 || manifest.MediaType != ocispec.MediaTypeImageManifest {
		t.Errorf("%s is of version %d and type %s", descriptor.Digest, manifest.SchemaVersion, manifest.MediaType)
	}
	if manifest.ArtifactType == "" || manifest.ArtifactType != descriptor.ArtifactType {
		t.Errorf("%s is an artifact of type %q, and listed as %q",
			descriptor.Digest, manifest.ArtifactType, descriptor.ArtifactType)
	}
	config, none := manifest.Config, ocispec.DescriptorEmptyJSON
	if config.MediaType != none.MediaType || config.Digest != none.Digest {
		t.Errorf("%s has the config %+v", descriptor.Digest, manifest.Config)
	}
	if len(manifest.Layers) == 0 {
		t.Errorf("%s has no layers", descriptor.Digest)
	}
	known := manifest.Annotations["io.github.countersign.evidence.manifest"] == digest.FromString("one").String()
	if (manifest.Subject != nil) != known {
		t.Errorf("%s has the subject %v", descriptor.Digest, manifest.Subject)
	}
	if known && (manifest.Subject.Digest != digest.FromString("one") || manifest.Subject.Size != 3) {
		t.Errorf("%s has the subject %+v", descriptor.Digest, manifest.Subject)
	}
	for _, layer := range append(manifest.Layers, manifest.Config) {
		hash, err := v1.NewHash(layer.Digest.String())
		if err != nil {
			t.Fatal(err)
		}
		blob, err := path.Blob(hash)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(blob)
		if err != nil || int64(len(content)) != layer.Size || layer.MediaType == "" {
			t.Errorf("layer %+v has %d bytes: %v", layer, len(content), err)
		}
		blob.Close()
	}
}

// TestABundleIsWrittenAsCosignAttachesIt compares with an artifact of cosign 3.1.3.
func TestABundleIsWrittenAsCosignAttachesIt(t *testing.T) {
	found := itemsOf(t, read(t, "testdata/cosign-save", named(t, "127.0.0.1:5999/app")))
	theirs := artifact(t, "testdata/cosign-save", found[0].Manifest)
	ours := artifact(t, extract(t, write(t, found)), found[0].Manifest)
	if ours.ArtifactType != theirs.ArtifactType || ours.Config.MediaType != theirs.Config.MediaType {
		t.Errorf("it is %+v, and cosign's %+v", ours, theirs)
	}
	if ours.Layers[0].MediaType != theirs.Layers[0].MediaType {
		t.Errorf("its layer is %+v, and cosign's %+v", ours.Layers[0], theirs.Layers[0])
	}
	for name, value := range theirs.Annotations {
		if name != ocispec.AnnotationCreated && ours.Annotations[name] != value {
			t.Errorf("its annotation %s is %q, and cosign's %q", name, ours.Annotations[name], value)
		}
	}
}

// artifact returns the first manifest in a layout that is a signing bundle of a manifest.
func artifact(t *testing.T, path string, of digest.Digest) (found ocispec.Manifest) {
	t.Helper()
	for _, raw := range blobs(t, path) {
		var manifest ocispec.Manifest
		if json.Unmarshal(raw, &manifest) != nil || manifest.ArtifactType != "application/vnd.dev.sigstore.bundle.v0.3+json" {
			continue
		}
		predicate := manifest.Annotations["dev.sigstore.bundle.predicateType"]
		if predicate == "https://sigstore.dev/cosign/sign/v1" && manifest.Annotations != nil {
			return manifest
		}
	}
	t.Fatalf("%s has no bundle of %s", path, of)
	return found
}
