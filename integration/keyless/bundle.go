package keyless

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// SignBundle signs an image with an identity in the format of cosign 3, under a name, which may be empty, and attaches
// the bundle in the repository of the image.
func SignBundle(
	t testing.TB, registry *node.Registry, image node.Pushed,
	sigstore *bundletest.Sigstore, identity bundletest.Identity, name string,
) {
	t.Helper()
	bundle := sigstore.Sign(t, identity, image.Digest, name).JSON(t)
	if err := AttachBundle(t.Context(), registry, image, bundle); err != nil {
		t.Fatal(err)
	}
}

// AttachBundle attaches a Sigstore bundle to an image in its repository, in addition to other referrers: as a manifest
// with the image as subject and the bundle as its only layer, as cosign 3.1.3 writes it.
func AttachBundle(ctx context.Context, registry *node.Registry, image node.Pushed, bundle []byte) error {
	repository := strings.TrimPrefix(image.Repository, registry.Host+"/")
	for _, blob := range [][]byte{bundle, []byte("{}")} {
		if _, err := registry.PushBlob(ctx, repository, blob); err != nil {
			return fmt.Errorf("attaching a bundle to %s: %w", image.ByDigest(), err)
		}
	}
	raw, mediaType, err := manifestOf(ctx, registry, repository, image)
	if err != nil {
		return fmt.Errorf("attaching a bundle to %s: %w", image.ByDigest(), err)
	}
	contents, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: bundletest.MediaType,
		Config:       describe(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{describe(bundletest.MediaType, bundle)},
		Subject:      &ocispec.Descriptor{MediaType: mediaType, Digest: image.Digest, Size: int64(len(raw))},
		Annotations: map[string]string{
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": bundletest.PredicateType,
		},
	})
	if err != nil {
		return fmt.Errorf("attaching a bundle to %s: %w", image.ByDigest(), err)
	}
	if _, err := registry.PushManifest(ctx, repository, ocispec.MediaTypeImageManifest, contents); err != nil {
		return fmt.Errorf("attaching a bundle to %s: %w", image.ByDigest(), err)
	}
	return nil
}

func manifestOf(
	ctx context.Context, registry *node.Registry, repository string, image node.Pushed,
) (raw []byte, mediaType string, err error) {
	raw, _, err = registry.Manifest(ctx, repository+"@"+image.Digest.String())
	if err != nil {
		return nil, "", err
	}
	var says struct{ MediaType string }
	err = json.Unmarshal(raw, &says)
	return raw, says.MediaType, err
}

func describe(mediaType string, contents []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(contents), Size: int64(len(contents))}
}
