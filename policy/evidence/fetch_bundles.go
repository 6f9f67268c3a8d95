package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// predicateAnnotation is where cosign says what a bundle is about, in the manifest that refers to the image.
	predicateAnnotation = "dev.sigstore.bundle.predicateType"
	// maxReferrer bounds such a manifest, in bytes: it lists one layer.
	maxReferrer = 256 << 10
	// maxAttached is how many such manifests are remembered.
	maxAttached = 4096
	// maxRemembered is how many bundles such a manifest may list to be remembered, and maxSubject how long what it refers
	// to may be, in bytes. cosign lists one, and a digest of SHA-512 has 135.
	maxRemembered = 4
	maxSubject    = 256
)

// attached is what the manifest of a referrer holds.
type attached struct {
	// subject is what it says that it refers to; it may say nothing.
	subject digest.Digest
	// bundles are the layers that are Sigstore bundles; an attestation's are not among them.
	bundles []ocispec.Descriptor
}

// small reports whether so many of its kind can be remembered.
func (a *attached) small() bool {
	return len(a.bundles) <= maxRemembered && len(a.subject) <= maxSubject
}

// readBundles reads the bundles that refer to the subject: the newest that say that an image is signed, until there are
// enough. What is wrong with one of them leaves it out; that none can be read is an error. What was read before an
// error counts.
func (p *placed) readBundles(ctx context.Context, a *answer, list *referrers) error {
	from, err := p.resolver.Fetcher(ctx, p.subject.String())
	if err != nil {
		return err
	}
	reader := &bundleReader{placed: p, from: from, answer: a, out: list.bad, seen: map[digest.Digest]bool{}}
	err = reader.read(ctx, list.ordered())
	slices.Reverse(a.bundles)
	a.partial = reader.out.passing
	a.detail = reader.describe(list.more)
	if err == nil && reader.out.count > 0 && len(a.bundles) == 0 {
		return fmt.Errorf("none of %d bundles can be read: %w", reader.out.count, reader.out.first)
	}
	return err
}

// bundleReader reads bundles into an answer.
type bundleReader struct {
	*placed
	from   remotes.Fetcher
	answer *answer
	out    leftOut
	// seen are the bundles that were read, for one can be attached twice; unseen how many referrers were not looked at.
	seen   map[digest.Digest]bool
	unseen int
}

func (r *bundleReader) read(ctx context.Context, list []ocispec.Descriptor) error {
	for i, listed := range list {
		if i >= maxReferrers || len(r.answer.bundles) >= maxBundles {
			r.unseen = len(list) - i
			return nil
		}
		err := r.readOne(ctx, listed)
		if bad, ok := errors.AsType[*badLayer](err); ok {
			r.out.add(bad)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describe says in words what was left out.
func (r *bundleReader) describe(more bool) string {
	details := make([]string, 0, 2)
	if detail := r.out.describe("bundles", 0, 0); detail != "" {
		details = append(details, detail)
	}
	switch {
	case more:
		details = append(details, "not all referrers were looked at, for there are too many")
	case r.unseen > 0:
		details = append(details, fmt.Sprintf("%d older referrers were not looked at", r.unseen))
	}
	return strings.Join(details, "; ")
}

// readOne reads what one referrer brings.
func (r *bundleReader) readOne(ctx context.Context, listed ocispec.Descriptor) error {
	holds, err := r.holds(ctx, listed)
	if err != nil {
		return err
	}
	if holds.subject != "" && holds.subject != r.subject.Digest() {
		return lasting("%s refers to %.80s", listed.Digest, holds.subject)
	}
	for _, layer := range holds.bundles {
		if r.seen[layer.Digest] || len(r.answer.bundles) >= maxBundles {
			continue
		}
		if err := r.readBundle(ctx, layer); err != nil {
			return err
		}
	}
	return nil
}

// holds reads the manifest of a referrer, unless it is remembered.
func (r *bundleReader) holds(ctx context.Context, listed ocispec.Descriptor) (*attached, error) {
	if known, ok := r.registries.attached.Get(listed.Digest); ok {
		return known, nil
	}
	if listed.Size < 0 || listed.Size > maxReferrer {
		return nil, lasting("%s has %d bytes, and the manifest of a bundle has at most %d",
			listed.Digest, listed.Size, maxReferrer)
	}
	listed.MediaType = ocispec.MediaTypeImageManifest
	raw, err := readContent(ctx, r.from, listed)
	if err != nil {
		return nil, err
	}
	holds, err := parseAttached(raw)
	if err != nil {
		return nil, lasting("%s: %v", listed.Digest, err)
	}
	if holds.small() {
		r.registries.attached.Add(listed.Digest, holds)
	}
	return holds, nil
}

func (r *bundleReader) readBundle(ctx context.Context, layer ocispec.Descriptor) error {
	if layer.Size < 0 || layer.Size > maxPayload {
		return lasting("bundle %s has %d bytes, and one has at most %d",
			layer.Digest, layer.Size, maxPayload)
	}
	if layer.Size > r.room {
		return lasting("all together have more than %d bytes", maxDirectory)
	}
	// As a blob, whatever its type is.
	layer.MediaType = ocispec.MediaTypeImageLayer
	raw, err := readContent(ctx, r.from, layer)
	if err != nil {
		return err
	}
	r.seen[layer.Digest] = true
	parsed, err := ParseBundle(raw)
	if err != nil {
		return lasting("%s: %v", layer.Digest, err)
	}
	if parsed.Attestation() {
		return nil
	}
	r.room -= int64(len(raw))
	r.answer.bundles = append(r.answer.bundles, raw)
	return nil
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
	holds := &attached{subject: manifest.Subject.Digest}
	if kind := manifest.Annotations[predicateAnnotation]; kind != "" && kind != signPredicate {
		return holds, nil
	}
	ofBundle := func(kind string) bool { return strings.HasPrefix(kind, bundlePrefix) }
	only := len(manifest.Layers) == 1 && (ofBundle(manifest.ArtifactType) || ofBundle(manifest.Config.MediaType))
	for _, layer := range manifest.Layers {
		if !only && !ofBundle(layer.MediaType) {
			continue
		}
		if err := layer.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("a layer has the digest %.80q: %w", layer.Digest, err)
		}
		holds.bundles = append(holds.bundles, ocispec.Descriptor{Digest: layer.Digest, Size: layer.Size})
		if len(holds.bundles) >= maxBundles {
			break
		}
	}
	return holds, nil
}
