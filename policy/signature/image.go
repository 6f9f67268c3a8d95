package signature

import (
	"context"
	"fmt"

	"go.podman.io/image/v5/directory"
	containersimage "go.podman.io/image/v5/image"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"

	"github.com/countersign/countersign/policy"
)

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

// Manifest returns the manifest that runs. [checkManifest] has checked its digest, as the method that this one hides
// would have done.
func (i *image) Manifest(context.Context) ([]byte, string, error) {
	return i.manifest.Bytes, i.manifest.MediaType, nil
}

// open reads the signatures. Where there are none to judge, it returns the finding.
func (i *image) open(ctx context.Context, evidence policy.Evidence) (finding policy.Finding, ok bool) {
	switch evidence.State {
	case policy.Found:
	case policy.None:
		return unmet(policy.Unsigned, "no signature of %s was found", i.manifest.Digest), false
	case policy.Failed:
		return unmet(policy.Unavailable, "%s", evidence.Detail), false
	default:
		return unmet(policy.Pending, "nothing is known of signatures of %s yet", i.manifest.Digest), false
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
		return unmet(policy.Unsigned, "no signature of %s was found", i.manifest.Digest), false
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
	defer source.Close()
	if evidence.Instance == "" {
		i.UnparsedImage = containersimage.UnparsedInstance(source, nil)
	} else {
		i.UnparsedImage = containersimage.UnparsedInstance(source, &evidence.Instance)
	}
	signatures, err := i.UntrustedSignatures(ctx)
	if err != nil {
		return err
	}
	for _, signature := range signatures {
		i.signatures = append(i.signatures, signature)
	}
	return nil
}

// manifestError is why a manifest cannot be judged.
type manifestError struct {
	reason policy.Reason
	detail string
}

// checkManifest compares a manifest with its digest, and returns nil if signatures on that digest are signatures on
// these very bytes.
//
// To containers/image, the digest of a "schema 1" manifest with signatures is that of a text which the manifest itself
// names in one of its fields (manifest.Digest, v5.42.0). To containerd it is a manifest like others, and runs what the
// other fields say. So anyone could take someone's signed manifest, name it in that field, and have his own run.
func checkManifest(m policy.Manifest) *manifestError {
	if err := m.Digest.Validate(); err != nil {
		return &manifestError{policy.Internal, fmt.Sprintf("the manifest's digest %q: %v", m.Digest, err)}
	}
	if got := m.Digest.Algorithm().FromBytes(m.Bytes); got != m.Digest {
		return &manifestError{policy.Internal, fmt.Sprintf("the manifest has digest %s, not %s", got, m.Digest)}
	}
	if manifest.GuessMIMEType(m.Bytes) == manifest.DockerV2Schema1SignedMediaType {
		return &manifestError{
			policy.Rejected,
			fmt.Sprintf("manifest %s is of schema 1, whose signatures need not be about what runs", m.Digest),
		}
	}
	return nil
}
