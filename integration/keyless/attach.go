package keyless

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// Sign signs an image for its repository with an identity, and attaches the signature in this repository.
func Sign(
	t testing.TB, registry *node.Registry, image node.Pushed,
	sigstore *signaturetest.Sigstore, identity signaturetest.Identity,
) {
	t.Helper()
	signature := sigstore.Sign(t, identity, image.Repository, image.Digest)
	if err := Attach(t.Context(), registry, image, signature); err != nil {
		t.Fatal(err)
	}
}

// Attach attaches signatures to an image in its repository, and replaces existing ones.
func Attach(
	ctx context.Context, registry *node.Registry, image node.Pushed, signatures ...signaturetest.Signature,
) error {
	attachment := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	attachment = mutate.ConfigMediaType(attachment, types.OCIConfigJSON)
	for _, signature := range signatures {
		var err error
		attachment, err = mutate.Append(attachment, mutate.Addendum{
			Layer:       static.NewLayer(signature.Payload, types.MediaType(signature.MediaType)),
			Annotations: signature.Annotations,
		})
		if err != nil {
			return fmt.Errorf("attaching a signature to %s: %w", image.ByDigest(), err)
		}
	}
	repository := strings.TrimPrefix(image.Repository, registry.Host+"/")
	if _, err := registry.Push(ctx, repository+":"+node.SignatureTag(image.Digest), attachment); err != nil {
		return fmt.Errorf("attaching a signature to %s: %w", image.ByDigest(), err)
	}
	return nil
}
