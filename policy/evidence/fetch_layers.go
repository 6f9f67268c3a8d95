package evidence

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
func (a *answer) readSignatures(ctx context.Context, from remotes.Fetcher, raw []byte, room *int64) error {
	layers, omitted, err := parseLayers(raw)
	if err != nil {
		return err
	}
	var out leftOut
	payloads := map[digest.Digest][]byte{}
	// From the end, so that it is the oldest that do not fit.
	for _, layer := range slices.Backward(layers) {
		content, err := readSignature(ctx, from, layer, payloads)
		if err == nil && int64(len(content)) > *room {
			err = registry.PermanentError("all signatures together have more than %d bytes", format.MaxTotal)
		}
		if bad, ok := errors.AsType[*registry.ContentError](err); ok {
			out.add(bad)
			continue
		}
		if err != nil {
			return err
		}
		*room -= int64(len(content))
		a.add(format.KindSignature, content)
	}
	if out.count > 0 && a.empty() {
		return a.readNone(&out, fmt.Errorf("none of its %d signatures can be read: %w", len(layers), out.first))
	}
	slices.Reverse(a.files)
	a.partial = out.passing
	a.detail = out.describe("signatures", omitted, format.MaxFiles)
	return nil
}

// readNone answers for a source none of whose content can be read, which is err. Content is named by its digest: where
// that is the fault, every try would find the same, and it is what the source has.
func (a *answer) readNone(out *leftOut, err error) error {
	if out.passing {
		return err
	}
	a.unusable, a.detail = true, err.Error()
	return nil
}

// leftOut counts what was left out.
type leftOut struct {
	count int
	first *registry.ContentError
	// passing says that some of it may be there at the next try.
	passing bool
}

func (l *leftOut) add(bad *registry.ContentError) {
	if l.first == nil {
		l.first = bad
	}
	l.count++
	l.passing = l.passing || !bad.Permanent
}

// describe says in words what was left out: what is bad, and what is older than the newest.
func (l *leftOut) describe(things string, older, newest int) string {
	switch {
	case l.count > 0 && older > 0:
		return fmt.Sprintf("%d %s were left out: %v; and %d older ones beyond the newest %d",
			l.count, things, l.first, older, newest)
	case l.count > 0:
		return fmt.Sprintf("%d %s were left out: %v", l.count, things, l.first)
	case older > 0:
		return fmt.Sprintf("%d %s were left out, which are older than the newest %d", older, things, newest)
	default:
		return ""
	}
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
