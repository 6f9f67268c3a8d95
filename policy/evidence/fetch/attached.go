package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
)

const (
	// predicateAnnotation is where cosign says what a bundle is about, in the manifest that refers to the image.
	predicateAnnotation = "dev.sigstore.bundle.predicateType"
	// maxReferrer bounds such a manifest, in bytes: it lists one layer.
	maxReferrer = 256 << 10
	// maxAttached is how many such manifests are cached, and maxAttachedBytes how much text one of these may have: a few
	// digests, of which a manifest by cosign has two.
	maxAttached      = 4096
	maxAttachedBytes = 1 << 10
)

// attached is the content of the manifest of a referrer.
type attached struct {
	// subject is the digest that it refers to; it may be empty.
	subject digest.Digest
	// predicate is the predicate type of its bundles, as far as it says so.
	predicate string
	// bundles are the layers that are Sigstore bundles.
	bundles []ocispec.Descriptor
	// signatures are the layers that are signatures of the old format, the last ones.
	signatures []ocispec.Descriptor
}

// weight returns how many bytes of text it has. Signatures have certificates, and are too heavy for a cache.
func (a *attached) weight() int {
	if len(a.signatures) > 0 {
		return maxAttachedBytes + 1
	}
	weight := len(a.subject) + len(a.predicate)
	for _, bundle := range a.bundles {
		weight += len(bundle.Digest)
	}
	return weight
}

// readBundles reads the bundles and the signatures of the old format that refer to the subject: the newest that say
// that an image is signed, until there are enough. What is wrong with one of them leaves it out; that none can be read
// is an error where another try may help. What was read before an error counts.
func (h *hostRequest) readBundles(ctx context.Context, into *Content, list *referrerList) error {
	from, err := h.host.Resolver.Fetcher(ctx, h.subject.String())
	if err != nil {
		return err
	}
	reader := &bundleReader{
		hostRequest: h, from: from, into: into, out: list.bad,
		seen: map[digest.Digest]bool{}, payloads: map[digest.Digest][]byte{},
	}
	err = reader.read(ctx, list.ordered())
	slices.Reverse(into.Files)
	// Somebody may wait for what is beyond the limits later, and then it is read.
	into.Partial = reader.out.temporary || reader.beyond > 0 || list.more
	into.Detail = reader.describe(list.more)
	if err == nil && reader.out.count > 0 && len(into.Files) == 0 {
		err := fmt.Errorf("none of %d bundles can be read: %w", reader.out.count, reader.out.first)
		return into.readNone(&reader.out, err)
	}
	return err
}

// parseAttached reads the manifest of a referrer. cosign 3.1.3 has one layer of a bundle's media type, which is the
// artifact's type, too; and says in an annotation what it is about.
func parseAttached(raw []byte) (*attached, error) {
	var manifest struct {
		SchemaVersion int                  `json:"schemaVersion"`
		ArtifactType  string               `json:"artifactType"`
		Config        ocispec.Descriptor   `json:"config"`
		Layers        []ocispec.Descriptor `json:"layers"`
		Subject       ocispec.Descriptor   `json:"subject"`
		Annotations   map[string]string    `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, fmt.Errorf("it is not JSON of the expected form: %w", err)
	}
	if manifest.SchemaVersion != 2 {
		return nil, errors.New("it is not an image manifest")
	}
	holds := &attached{subject: manifest.Subject.Digest, predicate: manifest.Annotations[predicateAnnotation]}
	ofBundle := func(kind string) bool { return strings.HasPrefix(kind, format.BundlePrefix) }
	holds.signatures, _ = signatureLayers(manifest.Layers)
	only := len(manifest.Layers) == 1 && (ofBundle(manifest.ArtifactType) || ofBundle(manifest.Config.MediaType))
	for _, layer := range manifest.Layers {
		if !only && !ofBundle(layer.MediaType) {
			continue
		}
		if err := layer.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("a layer has the digest %.80q: %w", layer.Digest, err)
		}
		holds.bundles = append(holds.bundles, ocispec.Descriptor{Digest: layer.Digest, Size: layer.Size})
		if len(holds.bundles) >= format.MaxFiles {
			break
		}
	}
	return holds, nil
}
