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
	"go.podman.io/image/v5/types"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/signable"
)

// maxMessage limits the statement in an OpenPGP signature, in bytes; usual ones have some hundred.
const maxMessage = 1 << 20

// image is the image that containers/image judges: the signatures in a directory, with the reference and the manifest
// that the caller passes.
//
// It embeds the concrete type because containers/image looks for that type's method UntrustedSignatures, whose result
// type no other module can name; without it, sigstore signatures are ignored. If no evidence is needed, the pointer is
// nil.
type image struct {
	*containersimage.UnparsedImage
	identity   types.ImageReference
	manifest   policy.Manifest
	signatures []any
	// single returns the image with only one of its signatures.
	single func(number int) types.UnparsedImage
}

// Reference returns the reference under which the image is judged.
func (i *image) Reference() types.ImageReference { return i.identity }

// Manifest returns the manifest that runs. Its digest was checked before, as the method that this one hides would do.
func (i *image) Manifest(context.Context) ([]byte, string, error) {
	return i.manifest.Bytes, i.manifest.MediaType, nil
}

// Signatures returns the simple signing signatures, which are OpenPGP messages. Messages that must not be opened are
// replaced by empty ones, which are rejected like any other invalid message.
//
// containers/image reads a whole message into memory before it verifies the signer, and a megabyte can decompress to
// gigabytes.
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

// tooLarge reports whether an OpenPGP message is longer than any statement about an image.
func tooLarge(message []byte) bool {
	limit := int64(maxMessage)
	details, err := openpgp.ReadMessage(bytes.NewReader(message), openpgp.EntityList{}, nil,
		&packet.Config{MaxDecompressedMessageSize: &limit})
	if err == nil {
		_, err = io.Copy(io.Discard, details.UnverifiedBody)
	}
	return errors.Is(err, openpgperrors.ErrMessageTooLarge)
}

// open prepares the image for a judgement. If there is nothing to judge, it returns the finding.
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
	// dir: stops at the first missing number, and treats a deleted directory as empty.
	if len(i.signatures) < evidence.Signatures {
		return unmet(policy.Unavailable, "%d signatures of %s are stored, but only %d can be read",
			evidence.Signatures, i.manifest.Digest, len(i.signatures)), false
	}
	if len(i.signatures) == 0 {
		return bounded(evidence.Lacks(i.manifest.Digest, "signature")), false
	}
	return policy.Finding{}, true
}

// read reads the signature files. The image caches them, so that the same bytes are counted and judged.
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
	i.single = singles(i, signatures)
	return nil
}

// checkManifest returns a finding unless a signature on the manifest's digest covers the manifest.
func (i *image) checkManifest() (finding policy.Finding, ok bool) {
	if err := signable.Check(i.manifest.Digest, i.manifest.Bytes); errors.Is(err, signable.ErrSchema1) {
		return unmet(policy.Rejected, "%v", err), false
	} else if err != nil {
		return unmet(policy.Internal, "%v", err), false
	}
	return policy.Finding{}, true
}
