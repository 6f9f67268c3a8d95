package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// badLayer is an error of what a registry serves, not of reaching it: the layer is left out and others are read.
type badLayer struct{ problem string }

func (b *badLayer) Error() string { return b.problem }

// parseLayers returns the signatures that a manifest lists: the last 64 of the right type, for new ones are added at
// the end. omitted is how many more there are.
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
	for _, layer := range manifest.Layers {
		if layer.MediaType == simpleSigning {
			layers = append(layers, layer)
		}
	}
	omitted = max(0, len(layers)-maxSignatures)
	return layers[omitted:], omitted, nil
}

// readSignatures reads the signatures that a manifest lists. What is wrong with one of them leaves it out; that none
// can be read is an error.
func readSignatures(ctx context.Context, from remotes.Fetcher, raw []byte) (*finding, error) {
	layers, omitted, err := parseLayers(raw)
	if err != nil {
		return nil, err
	}
	var firstBad error
	var total int64
	payloads := map[digest.Digest][]byte{}
	found := &finding{}
	// From the end, so that it is the oldest that do not fit.
	for _, layer := range slices.Backward(layers) {
		content, err := readSignature(ctx, from, layer, payloads)
		if err == nil && total+int64(len(content)) > maxDirectory {
			err = &badLayer{fmt.Sprintf("all signatures together have more than %d bytes", maxDirectory)}
		}
		if _, ok := errors.AsType[*badLayer](err); ok {
			firstBad = err
			continue
		}
		if err != nil {
			return nil, err
		}
		total += int64(len(content))
		found.signatures = append(found.signatures, content)
	}
	if firstBad != nil && len(found.signatures) == 0 {
		return nil, fmt.Errorf("none of its %d signatures can be read: %w", len(layers), firstBad)
	}
	slices.Reverse(found.signatures)
	found.partial = firstBad != nil
	found.detail = leftOut(len(layers)-len(found.signatures), firstBad, omitted)
	return found, nil
}

// leftOut says in words what was left out.
func leftOut(bad int, why error, omitted int) string {
	switch {
	case bad > 0 && omitted > 0:
		return fmt.Sprintf("%d signatures were left out: %v; and %d older ones beyond the newest %d",
			bad, why, omitted, maxSignatures)
	case bad > 0:
		return fmt.Sprintf("%d signatures were left out: %v", bad, why)
	case omitted > 0:
		return fmt.Sprintf("%d signatures were left out, which are older than the newest %d", omitted, maxSignatures)
	default:
		return ""
	}
}

// readSignature reads one signature; several often have one payload.
func readSignature(
	ctx context.Context, from remotes.Fetcher, layer ocispec.Descriptor, payloads map[digest.Digest][]byte,
) ([]byte, error) {
	if layer.Size < 0 || layer.Size > maxPayload {
		return nil, &badLayer{fmt.Sprintf("layer %s has %d bytes, and a signature has at most %d",
			layer.Digest, layer.Size, maxPayload)}
	}
	if err := layer.Digest.Validate(); err != nil {
		return nil, &badLayer{fmt.Sprintf("a layer has the digest %.80q: %v", layer.Digest, err)}
	}
	payload, ok := payloads[layer.Digest]
	if !ok || int64(len(payload)) != layer.Size {
		var err error
		if payload, err = readContent(ctx, from, layer); err != nil {
			return nil, err
		}
		payloads[layer.Digest] = payload
	}
	return signatureFile(layer.MediaType, payload, layer.Annotations)
}

// readContent reads what a descriptor describes and verifies its length and digest.
func readContent(ctx context.Context, from remotes.Fetcher, of ocispec.Descriptor) ([]byte, error) {
	// Addresses that a manifest brings along are not followed, nor is content that it brings along taken.
	body, err := from.Fetch(ctx, ocispec.Descriptor{MediaType: of.MediaType, Digest: of.Digest, Size: of.Size})
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", of.Digest, err)
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, of.Size+1))
	switch {
	case errdefs.IsNotFound(err):
		return nil, &badLayer{fmt.Sprintf("the registry does not have %s", of.Digest)}
	case errdefs.IsFailedPrecondition(err):
		return nil, &badLayer{fmt.Sprintf("%s has more than the %d bytes announced", of.Digest, of.Size)}
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", of.Digest, err)
	case int64(len(content)) != of.Size:
		return nil, &badLayer{fmt.Sprintf("%s has %d bytes, and %d were announced", of.Digest, len(content), of.Size)}
	case of.Digest.Algorithm().FromBytes(content) != of.Digest:
		return nil, &badLayer{fmt.Sprintf("what the registry has as %s has another digest", of.Digest)}
	}
	return content, nil
}
