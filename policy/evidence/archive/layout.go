package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// MaxManifest limits a manifest or an index, in bytes, as registries do.
	MaxManifest = 4 << 20
	// maxArtifact is the size limit of a manifest with evidence, which contains the annotations of signatures.
	maxArtifact = 2 * MaxManifest
	// maxIndex is the size limit of index.json, which lists every image.
	maxIndex = 32 << 20
	// maxManifests is how many manifests are read.
	maxManifests = 50_000
)

// Layout is an OCI image layout.
type Layout struct {
	path  string
	files files
	index ocispec.Index
}

// Open opens a layout: a directory, or a tar file that is not compressed. Close it. An error is one line that names
// the path.
func Open(path string) (*Layout, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening an OCI image layout: %w", err)
	}
	l := &Layout{path: path}
	switch {
	case info.IsDir():
		l.files, err = openDirectory(path)
	case info.Mode().IsRegular():
		l.files, err = openArchive(path)
	default:
		err = fmt.Errorf("%s is neither a directory nor a file", path)
	}
	if err != nil {
		return nil, err
	}
	if err := l.readIndex(); err != nil {
		return nil, errors.Join(err, l.files.Close())
	}
	return l, nil
}

// Close ends reading.
func (l *Layout) Close() error { return l.files.Close() }

// Images returns the entries of index.json that are images, and not something that is attached to one.
func (l *Layout) Images() (images []ocispec.Descriptor) {
	for i, descriptor := range l.index.Manifests {
		kind := descriptor.Annotations[savedKind]
		tag := descriptor.Annotations[ocispec.AnnotationRefName]
		switch {
		case kind == savedSigs || kind == savedAtts || descriptor.Annotations[annotationKind] != "":
		case strings.HasPrefix(descriptor.ArtifactType, bundleType) || descriptor.ArtifactType == cosignType:
		case strings.HasSuffix(tag, ".sig") || strings.HasSuffix(tag, ".att"):
		case i < maxImages && l.isAttached(descriptor):
		default:
			images = append(images, descriptor)
		}
	}
	return images
}

// maxImages is how many entries of index.json are read to find out whether they are images.
const maxImages = 1000

// isAttached reports whether a manifest refers to another.
func (l *Layout) isAttached(descriptor ocispec.Descriptor) bool {
	var manifest ocispec.Manifest
	raw, err := l.Blob(descriptor.Digest, MaxManifest)
	return err == nil && json.Unmarshal(raw, &manifest) == nil && manifest.Subject != nil
}

func (l *Layout) readIndex() error {
	var marker ocispec.ImageLayout
	raw, err := l.files.read(ocispec.ImageLayoutFile, MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not an OCI image layout: it has no file %s", l.path, ocispec.ImageLayoutFile)
	}
	if err == nil {
		err = json.Unmarshal(raw, &marker)
	}
	if err != nil {
		return fmt.Errorf("reading %s of %s: %w", ocispec.ImageLayoutFile, l.path, err)
	}
	if marker.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s is an OCI image layout of version %.20q; version %s is read",
			l.path, marker.Version, ocispec.ImageLayoutVersion)
	}
	if raw, err = l.files.read(ocispec.ImageIndexFile, maxIndex); err == nil {
		err = json.Unmarshal(raw, &l.index)
	}
	if err != nil {
		return fmt.Errorf("reading %s of %s: %w", ocispec.ImageIndexFile, l.path, err)
	}
	return nil
}

// Blob returns the content with a digest, verified. It is [fs.ErrNotExist] where there is none.
func (l *Layout) Blob(of digest.Digest, limit int64) ([]byte, error) {
	if err := of.Validate(); err != nil {
		return nil, fmt.Errorf("%.80q: %w", of, err)
	}
	content, err := l.files.read(blobPath(of), limit)
	if err != nil {
		return nil, err
	}
	if of.Algorithm().FromBytes(content) != of {
		return nil, fmt.Errorf("what lies under %s has another digest", of)
	}
	return content, nil
}

func blobPath(of digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, of.Algorithm().String(), of.Encoded())
}
