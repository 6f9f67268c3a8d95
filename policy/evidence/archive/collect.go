package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
)

// place is a manifest in a repository; the repository is empty where nothing names it.
type place struct {
	manifest   digest.Digest
	repository string
}

// group is where the evidence of one place lies.
type group struct {
	place
	parts []part
}

// part is a layer that is a signature or a bundle.
type part struct {
	kind  string
	layer ocispec.Descriptor
}

// collection walks a layout and collects its contents.
type collection struct {
	layout *Layout
	// seen are the manifests that were read, and layers what they say is evidence.
	seen   map[digest.Digest]bool
	layers map[digest.Digest]bool
	groups map[place]*group
	order  []*group
	// image is what index.json says is the image that cosign saved.
	image digest.Digest
	err   error
}

// Annotations by which cosign save distinguishes the entries of index.json (cosign 3.1.3, pkg/oci/layout).
const (
	savedKind  = "kind"
	savedImage = "dev.cosignproject.cosign/image"
	savedIndex = "dev.cosignproject.cosign/imageIndex"
	savedSigs  = "dev.cosignproject.cosign/sigs"
	savedAtts  = "dev.cosignproject.cosign/atts"
)

func (c *collection) collect() {
	for _, descriptor := range c.layout.index.Manifests {
		if kind := descriptor.Annotations[savedKind]; kind == savedImage || kind == savedIndex {
			c.image = descriptor.Digest
		}
	}
	for _, descriptor := range c.layout.index.Manifests {
		c.visit(descriptor, c.subjectOf(descriptor))
	}
	c.scan()
}

// subjectOf returns the manifest that an entry of index.json is about in ways other than its own subject: as cosign
// saved it, or as a copy of a tag with signatures or attestations.
func (c *collection) subjectOf(of ocispec.Descriptor) digest.Digest {
	if kind := of.Annotations[savedKind]; kind == savedSigs || kind == savedAtts {
		return c.image
	}
	name := of.Annotations[ocispec.AnnotationRefName]
	tag := name[strings.LastIndexByte(name, ':')+1:]
	hash, isSignatures := strings.CutSuffix(tag, ".sig")
	hash, isAttestations := strings.CutSuffix(hash, ".att")
	if isSignatures == isAttestations {
		return ""
	}
	subject := digest.Digest(strings.Replace(hash, "-", ":", 1))
	if subject.Validate() != nil {
		return ""
	}
	return subject
}

// visit reads a possible artifact. A missing blob is not an error: a layout may lack other platforms.
func (c *collection) visit(of ocispec.Descriptor, subject digest.Digest) {
	if c.seen[of.Digest] {
		return
	}
	c.seen[of.Digest] = true
	if len(c.seen) > maxManifests {
		c.fail(fmt.Errorf("it has more than %d manifests", maxManifests))
		return
	}
	raw, err := c.layout.Blob(of.Digest, maxArtifact)
	if err != nil {
		if !isAbsent(err) {
			c.fail(err)
		}
		return
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		c.fail(fmt.Errorf("%s is not a manifest: %w", of.Digest, err))
		return
	}
	if manifest.Subject != nil {
		subject = manifest.Subject.Digest
	}
	if err := c.take(&manifest, subject); err != nil {
		c.fail(fmt.Errorf("%s: %w", of.Digest, err))
	}
}

// fail records the first error.
func (c *collection) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// take enters the layers of a manifest that are evidence of a subject.
func (c *collection) take(manifest *ocispec.Manifest, subject digest.Digest) error {
	of := place{manifest: subject}
	kind := manifest.Annotations[annotationKind]
	if kind != "" {
		of = place{
			manifest:   digest.Digest(manifest.Annotations[annotationManifest]),
			repository: manifest.Annotations[annotationRepository],
		}
		if subject != "" && subject != of.manifest {
			return fmt.Errorf("its subject is %.80q, and its annotation says %.80q", subject, of.manifest)
		}
		if of.repository == "" {
			return errors.New("it names no repository")
		}
	}
	if of.manifest == "" {
		return nil
	}
	if err := of.manifest.Validate(); err != nil {
		return fmt.Errorf("its subject is %.80q: %w", of.manifest, err)
	}
	for _, layer := range manifest.Layers {
		if kind := kindOf(kind, layer.MediaType); kind != "" {
			c.add(of, part{kind: kind, layer: layer})
		}
	}
	return nil
}

// kindOf returns the kind of a layer, or nothing if it is not evidence.
func kindOf(kind, mediaType string) string {
	switch {
	case kind == kindSignatures || kind == kindSimpleSigning || kind == kindBundle:
		return kind
	case strings.HasPrefix(mediaType, bundleType):
		return kindBundle
	case mediaType == simpleSigningType:
		return kindSignatures
	case mediaType == format.EnvelopeType:
		return kindEnvelope
	default:
		return ""
	}
}

func (c *collection) add(of place, p part) {
	g, ok := c.groups[of]
	if !ok {
		g = &group{place: of}
		c.groups[of] = g
		c.order = append(c.order, g)
	}
	g.parts = append(g.parts, p)
	c.layers[p.layer.Digest] = true
}
