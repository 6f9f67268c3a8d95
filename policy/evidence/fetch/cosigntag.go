package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// cosignTag is the tag under which cosign's old format has the signatures of a manifest.
type cosignTag struct {
	*hostRequest
	manifest ocispec.Descriptor
}

// Reference implements [Source].
func (t *cosignTag) Reference() string { return t.tag.String() }

// Description implements [Source].
func (t *cosignTag) Description() string { return t.tag.String() }

// Head implements [Source].
func (t *cosignTag) Head(ctx context.Context) (digest.Digest, error) {
	var err error
	t.manifest, err = t.host.ResolveTag(ctx, t.tag)
	return t.manifest.Digest, err
}

// Read implements [Source].
func (t *cosignTag) Read(ctx context.Context, into *Content) error {
	from, err := t.host.Resolver.Fetcher(ctx, t.tag.String())
	if err != nil {
		return err
	}
	raw, err := readManifest(ctx, from, t.manifest)
	if err != nil {
		return err
	}
	return t.readSignatures(ctx, from, raw, into)
}

// parseLayers returns the signatures that a manifest lists: the last 64 of the right type, because new ones are added
// at the end. omitted is how many more there are.
func parseLayers(raw []byte) (layers []ocispec.Descriptor, omitted int, err error) {
	var manifest struct {
		SchemaVersion int                  `json:"schemaVersion"`
		Layers        []ocispec.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, 0, fmt.Errorf("its manifest is not JSON of the expected form: %w", err)
	}
	if manifest.SchemaVersion != 2 {
		return nil, 0, errors.New("its manifest is not an image manifest")
	}
	layers, omitted = signatureLayers(manifest.Layers)
	return layers, omitted, nil
}

// signatureLayers returns the last 64 layers that are signatures; omitted is how many more there are.
func signatureLayers(all []ocispec.Descriptor) (layers []ocispec.Descriptor, omitted int) {
	for _, layer := range all {
		if layer.MediaType == format.SimpleSigning {
			layers = append(layers, layer)
		}
	}
	omitted = max(0, len(layers)-format.MaxFiles)
	return layers[omitted:], omitted
}

// readSignatures reads the signatures that a manifest lists. What is wrong with one of them leaves it out; that none
// can be read is an error where another try may help.
func (t *cosignTag) readSignatures(
	ctx context.Context, from remotes.Fetcher, raw []byte, into *Content,
) error {
	layers, omitted, err := parseLayers(raw)
	if err != nil {
		return err
	}
	var out leftOut
	payloads := map[digest.Digest][]byte{}
	// From the end, so that the oldest exceed the limit.
	for _, layer := range slices.Backward(layers) {
		content, err := readSignature(ctx, from, layer, payloads)
		if err == nil && int64(len(content)) > t.room {
			err = registry.PermanentError("all signatures together have more than %d bytes", format.MaxTotal)
		}
		if bad, ok := errors.AsType[*registry.ContentError](err); ok {
			out.add(bad)
			continue
		}
		if err != nil {
			return err
		}
		t.room -= int64(len(content))
		into.add(format.KindSignature, content)
	}
	if out.count > 0 && len(into.Files) == 0 {
		return into.readNone(&out, fmt.Errorf("none of its %d signatures can be read: %w", len(layers), out.first))
	}
	slices.Reverse(into.Files)
	into.Partial = out.temporary
	into.Detail = out.describe("signatures", omitted, format.MaxFiles)
	return nil
}

// readManifest reads the manifest or the index that a tag names.
func readManifest(ctx context.Context, from remotes.Fetcher, of ocispec.Descriptor) ([]byte, error) {
	if of.Size > registry.MaxManifest {
		return nil, fmt.Errorf("its manifest has %d bytes, more than the %d that are read", of.Size, registry.MaxManifest)
	}
	if !images.IsManifestType(of.MediaType) && !images.IsIndexType(of.MediaType) {
		// The fetcher would ask for a blob.
		of.MediaType = ocispec.MediaTypeImageManifest
	}
	raw, err := registry.ReadContent(ctx, from, of)
	if err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	if err := registry.CheckElements(raw); err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	return raw, nil
}

// readSignature reads one signature; several often have one payload.
func readSignature(
	ctx context.Context, from remotes.Fetcher, layer ocispec.Descriptor, payloads map[digest.Digest][]byte,
) ([]byte, error) {
	if layer.Size < 0 || layer.Size > format.MaxFile {
		return nil, registry.PermanentError("layer %s has %d bytes, and a signature has at most %d",
			layer.Digest, layer.Size, format.MaxFile)
	}
	if err := layer.Digest.Validate(); err != nil {
		return nil, registry.PermanentError("a layer has the digest %.80q: %v", layer.Digest, err)
	}
	if err := format.CheckCertificates(layer.Annotations); err != nil {
		return nil, registry.PermanentError("layer %s: %v", layer.Digest, err)
	}
	payload, ok := payloads[layer.Digest]
	if !ok || int64(len(payload)) != layer.Size {
		var err error
		if payload, err = registry.ReadContent(ctx, from, layer); err != nil {
			return nil, err
		}
		payloads[layer.Digest] = payload
	}
	return format.SignatureFile(layer.MediaType, payload, layer.Annotations)
}
