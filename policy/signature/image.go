package signature

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	openpgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/directory"
	containersimage "go.podman.io/image/v5/image"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"

	"github.com/countersign/countersign/policy"
)

// maxMessage bounds, in bytes, the statement in an OpenPGP signature; usual are some hundred.
const maxMessage = 1 << 20

// image is what containers/image judges: the signatures in a directory, under the reference and with the manifest
// that we give.
//
// It embeds the concrete type because containers/image looks for that type's method UntrustedSignatures, whose result
// no other module can name; without it, sigstore signatures are not seen. In an image of which no evidence is needed
// the pointer is nil.
type image struct {
	*containersimage.UnparsedImage
	identity   types.ImageReference
	manifest   policy.Manifest
	signatures []any
}

// Reference is the identity under which the image is judged.
func (i *image) Reference() types.ImageReference { return i.identity }

// Manifest returns the manifest that runs. Its digest has been checked, as the method that this one hides
// would have done.
func (i *image) Manifest(context.Context) ([]byte, string, error) {
	return i.manifest.Bytes, i.manifest.MediaType, nil
}

// Signatures returns the signatures of simple signing, which are OpenPGP messages, but for those that are not to be
// opened: in their place is a message with nothing in it, which is rejected like any other that is wrong.
//
// containers/image reads a whole message into memory before it looks at who signed, and compression makes gigabytes
// of a megabyte.
func (i *image) Signatures(ctx context.Context) ([][]byte, error) {
	signatures, err := i.UnparsedImage.Signatures(ctx)
	if err != nil {
		return nil, err
	}
	for n, signature := range signatures {
		if tooLarge(signature) {
			signatures[n] = nil
		}
	}
	return signatures, nil
}

// tooLarge reports whether an OpenPGP message is longer than any statement that one signs about an image.
func tooLarge(message []byte) bool {
	limit := int64(maxMessage)
	details, err := openpgp.ReadMessage(bytes.NewReader(message), openpgp.EntityList{}, nil,
		&packet.Config{MaxDecompressedMessageSize: &limit})
	if err == nil {
		_, err = io.Copy(io.Discard, details.UnverifiedBody)
	}
	return errors.Is(err, openpgperrors.ErrMessageTooLarge)
}

// open prepares the image for judging. Where there is nothing to judge, it returns the finding.
func (i *image) open(ctx context.Context, evidence policy.Evidence) (finding policy.Finding, ok bool) {
	if finding, ok := evidence.Judgeable(i.manifest.Digest, "signature"); !ok {
		return bounded(finding), false
	}
	if finding, ok := i.checkManifest(); !ok {
		return finding, false
	}
	if err := i.read(ctx, evidence); err != nil {
		return unmet(policy.Unavailable, "reading signatures of %s: %v", i.manifest.Digest, err), false
	}
	// dir: stops at the first number that is missing, and takes a directory that has gone for an empty one.
	if len(i.signatures) < evidence.Signatures {
		return unmet(policy.Unavailable, "%d signatures of %s are kept, but only %d can be read",
			evidence.Signatures, i.manifest.Digest, len(i.signatures)), false
	}
	if len(i.signatures) == 0 {
		return bounded(evidence.Lacks(i.manifest.Digest, "signature")), false
	}
	return policy.Finding{}, true
}

// read reads the signature files. The image keeps what was read, so that what is judged is what was counted.
func (i *image) read(ctx context.Context, evidence policy.Evidence) error {
	directory, err := directory.NewReference(evidence.Directory)
	if err != nil {
		return err
	}
	source, err := directory.NewImageSource(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	var instance *digest.Digest
	if evidence.Instance != "" {
		instance = &evidence.Instance
	}
	i.UnparsedImage = containersimage.UnparsedInstance(source, instance)
	signatures, err := i.UntrustedSignatures(ctx)
	if err != nil {
		return err
	}
	for _, signature := range signatures {
		i.signatures = append(i.signatures, signature)
	}
	return nil
}

// checkManifest compares the manifest with its digest, and makes sure that signatures on a digest of these bytes are
// about these bytes.
//
// To containers/image, the digest of a "schema 1" manifest with signatures is that of a text which one of its own
// fields holds (manifest.Digest, v5.42.0). containerd takes the same bytes for a manifest like others and runs what
// its other fields say. Anyone could put a signed manifest of someone else's into that field, and have his own run.
func (i *image) checkManifest() (finding policy.Finding, ok bool) {
	want := i.manifest.Digest
	if err := want.Validate(); err != nil {
		return unmet(policy.Internal, "the manifest's digest %q: %v", want, err), false
	}
	if got := want.Algorithm().FromBytes(i.manifest.Bytes); got != want {
		return unmet(policy.Internal, "the manifest has digest %s, not %s", got, want), false
	}
	if manifest.GuessMIMEType(i.manifest.Bytes) == manifest.DockerV2Schema1SignedMediaType {
		return unmet(policy.Rejected,
			"manifest %s is of schema 1: a signature on it need not be about what runs", want), false
	}
	return policy.Finding{}, true
}
