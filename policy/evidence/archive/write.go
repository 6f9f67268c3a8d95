package archive

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
)

// Annotations of the artifacts that [Write] writes: what they are evidence of, and of which kind they are.
const (
	annotationManifest   = "io.github.countersign.evidence.manifest"
	annotationRepository = "io.github.countersign.evidence.repository"
	annotationKind       = "io.github.countersign.evidence.kind"

	kindSignatures    = "signatures"
	kindSimpleSigning = "simple-signing"
	kindBundle        = "bundle"
	// kindEnvelope is never written: an attestation of cosign's old format becomes a bundle.
	kindEnvelope = "envelope"
)

const (
	// bundleType begins the media types of Sigstore bundles; the artifacts that cosign 3 attaches have the whole of it
	// as their type.
	bundleType      = "application/vnd.dev.sigstore.bundle"
	bundleTypeThree = bundleType + ".v0.3+json"
	// simpleSigningType is the media type of payloads in cosign's old format, and cosignType what cosign calls an
	// artifact that has such layers (cosign 3.1.3, --registry-referrers-mode=oci-1-1).
	simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"
	cosignType        = "application/vnd.dev.cosign.artifact.sig.v1+json"
	// openPGPType is that of artifacts with messages of OpenPGP, which have no common type, and messageType that of the
	// messages themselves.
	openPGPType = "application/vnd.countersign.simplesigning.openpgp.v1"
	messageType = "application/pgp-signature"
	// maxAnnotations limits the annotations of the layers of one artifact, in bytes. Further layers go into another
	// artifact.
	maxAnnotations = 1 << 20
)

// Write writes an OCI image layout, as a tar, with evidence as artifacts. subject returns the descriptor of an image's
// manifest, if it is known; the artifacts of others have none, and only their annotations say what they are of. The
// same items in the same order give the same bytes. It stops at the first error, and a tar that is cut short is the
// caller's to remove.
func Write(
	to io.Writer, items iter.Seq2[format.Item, error], subject func(format.Item) (ocispec.Descriptor, bool),
) error {
	w := &writer{tar: tar.NewWriter(to), written: map[digest.Digest]bool{}}
	w.directory(ocispec.ImageBlobsDir + "/")
	w.directory(ocispec.ImageBlobsDir + "/" + digest.SHA256.String() + "/")
	for item, err := range items {
		if err != nil {
			return err
		}
		of := artifact{item: item}
		if found, ok := subject(item); ok {
			of.subject = &found
		}
		if err := w.item(of); err != nil {
			return fmt.Errorf("writing evidence of %s in %s: %w", item.Manifest, item.Repository, err)
		}
	}
	w.document(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	w.document(ocispec.ImageIndexFile, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: w.manifests,
	})
	if w.err == nil {
		w.err = w.tar.Close()
	}
	if w.err != nil {
		return fmt.Errorf("writing an OCI image layout: %w", w.err)
	}
	return nil
}

// writer writes files into a tar; after an error it writes no more.
type writer struct {
	tar       *tar.Writer
	written   map[digest.Digest]bool
	manifests []ocispec.Descriptor
	err       error
}

// artifact is an artifact to be written.
type artifact struct {
	item    format.Item
	subject *ocispec.Descriptor
}

func (w *writer) item(of artifact) error {
	var layers, messages []ocispec.Descriptor
	size := 0
	for _, file := range format.Contents(of.item.Files, format.KindSignature) {
		signature, err := format.ParseSignature(file)
		if err != nil {
			return err
		}
		if signature.MediaType == "" {
			messages = append(messages, w.blob(messageType, signature.Payload))
			continue
		}
		layer := w.blob(signature.MediaType, signature.Payload)
		layer.Annotations = signature.Annotations
		if size += len(file) - len(signature.Payload); size > maxAnnotations {
			w.artifact(of, cosignType, layers, nil)
			layers, size = nil, 0
		}
		layers = append(layers, layer)
	}
	w.artifact(of, cosignType, layers, nil)
	w.artifact(of, openPGPType, messages, nil)
	bundles := format.Contents(of.item.Files, format.KindBundle)
	for _, raw := range append(bundles, format.Contents(of.item.Files, format.KindAttestation)...) {
		bundle, err := format.ParseBundle(raw)
		if err != nil {
			return err
		}
		layer := w.blob(bundleTypeThree, raw)
		w.artifact(of, bundleTypeThree, []ocispec.Descriptor{layer}, bundleAnnotations(bundle))
	}
	return w.err
}

// bundleAnnotations are what cosign 3.1.3 writes with a bundle, but for the time at which it did.
func bundleAnnotations(bundle format.Bundle) map[string]string {
	if bundle.PredicateType == "" {
		return nil
	}
	return map[string]string{
		"dev.sigstore.bundle.content":       "dsse-envelope",
		"dev.sigstore.bundle.predicateType": bundle.PredicateType,
	}
}

// kindOfArtifact returns the value of the annotation that distinguishes artifacts of one subject.
func kindOfArtifact(artifactType string) string {
	switch artifactType {
	case cosignType:
		return kindSignatures
	case openPGPType:
		return kindSimpleSigning
	default:
		return kindBundle
	}
}

// artifact writes a manifest, unless it would have no layers.
func (w *writer) artifact(
	of artifact, artifactType string, layers []ocispec.Descriptor, annotations map[string]string,
) {
	if len(layers) == 0 {
		return
	}
	all := map[string]string{
		annotationManifest:   of.item.Manifest.String(),
		annotationRepository: of.item.Repository,
		annotationKind:       kindOfArtifact(artifactType),
	}
	maps.Copy(all, annotations)
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       w.blob(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data),
		Layers:       layers, Subject: of.subject, Annotations: all,
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		w.fail(err)
		return
	}
	descriptor := w.blob(ocispec.MediaTypeImageManifest, raw)
	descriptor.ArtifactType = artifactType
	descriptor.Annotations = all
	w.manifests = append(w.manifests, descriptor)
}

// blob writes content that is not there yet, and returns its descriptor.
func (w *writer) blob(mediaType string, content []byte) ocispec.Descriptor {
	descriptor := ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content)),
	}
	if !w.written[descriptor.Digest] {
		w.written[descriptor.Digest] = true
		w.file(blobPath(descriptor.Digest), content)
	}
	return descriptor
}

func (w *writer) document(name string, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		w.fail(err)
		return
	}
	w.file(name, raw)
}

func (w *writer) directory(name string) {
	w.header(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755})
}

func (w *writer) file(name string, content []byte) {
	w.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))})
	if w.err == nil {
		_, w.err = w.tar.Write(content)
	}
}

// header has the same time for every file, so that the archive does not depend on times.
func (w *writer) header(header *tar.Header) {
	header.ModTime, header.Format = time.Unix(0, 0), tar.FormatUSTAR
	if w.err == nil {
		w.err = w.tar.WriteHeader(header)
	}
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
