package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// predicateTypeAnnotation is where cosign's old format has the predicate type, in the descriptor of an attestation
// (cosign v3.1.3, cmd/cosign/cli/attest).
const predicateTypeAnnotation = "predicateType"

// attestationTag is the tag under which cosign's old format has the attestations of a manifest. Their envelopes become
// bundles: see [format.AttestationFile].
type attestationTag struct {
	*hostRequest
	manifest ocispec.Descriptor
}

// Reference implements [Source].
func (t *attestationTag) Reference() string { return t.attestations.String() }

// Description implements [Source].
func (t *attestationTag) Description() string { return t.attestations.String() }

// Head implements [Source].
func (t *attestationTag) Head(ctx context.Context) (digest.Digest, error) {
	var err error
	t.manifest, err = t.host.ResolveTag(ctx, t.attestations)
	return t.manifest.Digest, err
}

// Read implements [Source].
func (t *attestationTag) Read(ctx context.Context, into *Content) error {
	from, err := t.host.Resolver.Fetcher(ctx, t.attestations.String())
	if err != nil {
		return err
	}
	raw, err := readManifest(ctx, from, t.manifest)
	if err != nil {
		return err
	}
	listed, err := parseEnvelopes(raw)
	if err != nil {
		return err
	}
	listed = slices.DeleteFunc(listed, func(layer ocispec.Descriptor) bool {
		return !t.reads(layer.Annotations[predicateTypeAnnotation])
	})
	return t.readAttestations(ctx, from, listed, into)
}

// parseEnvelopes returns the attestations that a manifest lists.
func parseEnvelopes(raw []byte) (listed []ocispec.Descriptor, err error) {
	var manifest struct {
		SchemaVersion int                  `json:"schemaVersion"`
		Layers        []ocispec.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, fmt.Errorf("its manifest is not JSON of the expected form: %w", err)
	}
	if manifest.SchemaVersion != 2 {
		return nil, errors.New("its manifest is not an image manifest")
	}
	for _, layer := range manifest.Layers {
		if layer.MediaType == format.EnvelopeType {
			listed = append(listed, layer)
		}
	}
	return listed, nil
}

// readAttestations reads the last 64 attestations, because new ones are added at the end. What is wrong with one of
// them leaves it out; that none can be read is an error where another try may help.
func (t *attestationTag) readAttestations(
	ctx context.Context, from remotes.Fetcher, listed []ocispec.Descriptor, into *Content,
) error {
	omitted := max(0, len(listed)-format.MaxFiles)
	var out leftOut
	for _, layer := range slices.Backward(listed[omitted:]) {
		file, err := t.readAttestation(ctx, from, layer)
		if err == nil && int64(len(file)) > t.attestationRoom {
			err = registry.PermanentError("all attestations together have more than %d bytes", format.MaxTotal)
		}
		if bad, ok := errors.AsType[*registry.ContentError](err); ok {
			out.add(bad)
			continue
		}
		if err != nil {
			return err
		}
		if file != nil {
			t.attestationRoom -= int64(len(file))
			into.add(format.KindAttestation, file)
		}
	}
	if out.count > 0 && len(into.Files) == 0 {
		return into.readNone(&out, fmt.Errorf("none of its %d attestations can be read: %w", len(listed), out.first))
	}
	slices.Reverse(into.Files)
	into.Partial = out.temporary
	into.Detail = out.describe("attestations", omitted, format.MaxFiles)
	return nil
}

// readAttestation reads one attestation; nil: it has another predicate type than its descriptor says, and nobody needs
// it.
func (t *attestationTag) readAttestation(
	ctx context.Context, from remotes.Fetcher, layer ocispec.Descriptor,
) ([]byte, error) {
	if layer.Size < 0 || layer.Size > format.MaxAttestation {
		return nil, registry.PermanentError("layer %s has %d bytes, and an attestation has at most %d",
			layer.Digest, layer.Size, format.MaxAttestation)
	}
	if err := layer.Digest.Validate(); err != nil {
		return nil, registry.PermanentError("a layer has the digest %.80q: %v", layer.Digest, err)
	}
	annotations := layer.Annotations
	// As a blob, for any type.
	layer.MediaType = ocispec.MediaTypeImageLayer
	raw, err := registry.ReadContent(ctx, from, layer)
	if err != nil {
		return nil, err
	}
	file, err := format.AttestationFile(raw, annotations)
	if err != nil {
		return nil, registry.PermanentError("layer %s: %v", layer.Digest, err)
	}
	parsed, err := format.ParseBundle(file)
	if err != nil {
		return nil, registry.PermanentError("layer %s: %v", layer.Digest, err)
	}
	if !parsed.Attestation() || !t.reads(parsed.PredicateType) {
		return nil, nil
	}
	return file, nil
}
