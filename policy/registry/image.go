package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	containerdcontent "github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxDocuments limits how many manifests, indexes and configs of one image are read.
	maxDocuments = 64
	// maxDepth limits how many indexes lead to a manifest.
	maxDepth = 4
)

// Image is an image in a registry.
type Image struct {
	// Config is the digest of the config.
	Config digest.Digest
	// Documents are the manifest that containerd would use on this node, then other manifests with the same config and
	// platform, then the indexes that lead to it.
	Documents []Document
}

// Document is a manifest or an index, verified.
type Document struct {
	Digest    digest.Digest
	MediaType string
	Bytes     []byte
}

// ReadImage reads the manifests and the config of an image by its digest. Everything is verified, and nothing else is
// downloaded.
//
// It chooses like containerd (2.4, core/images.Manifest): an image without a manifest for this node's platform is an
// error, and cannot be pulled either.
func (c *Client) ReadImage(ctx context.Context, ref reference.Named, target digest.Digest) (*Image, error) {
	if err := target.Validate(); err != nil {
		return nil, fmt.Errorf("reading the image %s@%s: %w", ref.Name(), target, err)
	}
	canonical, err := reference.WithDigest(reference.TrimNamed(ref), target)
	if err != nil {
		return nil, fmt.Errorf("reading the image %s@%s: %w", ref.Name(), target, err)
	}
	var image *Image
	ask := func(ctx context.Context, host *Host) error {
		name, top, err := host.Resolver.Resolve(ctx, canonical.String())
		if err != nil {
			return err
		}
		from, err := host.Resolver.Fetcher(ctx, name)
		if err != nil {
			return err
		}
		image, err = readImage(ctx, from, top)
		return err
	}
	if err := c.first(ctx, canonical, docker.HostCapabilityPull, ask); err != nil {
		return nil, err
	}
	return image, nil
}

func readImage(ctx context.Context, from remotes.Fetcher, top ocispec.Descriptor) (*Image, error) {
	read := &documents{from: from}
	chosen, err := images.Manifest(ctx, read, top, platforms.Default())
	if err != nil {
		return nil, err
	}
	config := chosen.Config.Digest
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("its config has the digest %.80q: %w", config, err)
	}
	indexes, instance := read.split()
	image := &Image{Config: config, Documents: []Document{instance.document()}}
	for _, index := range slices.Backward(indexes) {
		same, err := read.siblings(ctx, index, instance, config)
		if err != nil {
			return nil, err
		}
		image.Documents = append(image.Documents, same...)
	}
	for _, index := range slices.Backward(indexes) {
		image.Documents = append(image.Documents, index.document())
	}
	return image, nil
}

// readDocument is a verified manifest, index or config.
type readDocument struct {
	descriptor ocispec.Descriptor
	raw        []byte
}

func (d *readDocument) document() Document {
	return Document{Digest: d.descriptor.Digest, MediaType: d.descriptor.MediaType, Bytes: d.raw}
}

// documents is a [containerdcontent.Provider] of a registry's content, and caches what was read.
type documents struct {
	from remotes.Fetcher
	read []*readDocument
}

// ReaderAt reads a whole document.
func (d *documents) ReaderAt(ctx context.Context, of ocispec.Descriptor) (containerdcontent.ReaderAt, error) {
	raw, err := d.get(ctx, of)
	if err != nil {
		return nil, err
	}
	return &readerAt{Reader: bytes.NewReader(raw)}, nil
}

func (d *documents) get(ctx context.Context, of ocispec.Descriptor) ([]byte, error) {
	if err := of.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %.80q", errNoDigest, of.Digest)
	}
	for _, known := range d.read {
		if known.descriptor.Digest == of.Digest && known.descriptor.Size == of.Size {
			return known.raw, nil
		}
	}
	if of.Size < 0 || of.Size > MaxManifest {
		return nil, fmt.Errorf("%s has %d bytes; the maximum is %d", of.Digest, of.Size, MaxManifest)
	}
	indexes := 0
	for _, known := range d.read {
		if images.IsIndexType(known.descriptor.MediaType) {
			indexes++
		}
	}
	if len(d.read) >= maxDocuments || indexes > maxDepth {
		return nil, fmt.Errorf("it needs more than %d documents, or %d nested indexes", maxDocuments, maxDepth)
	}
	raw, err := ReadContent(ctx, d.from, of)
	if err != nil {
		return nil, err
	}
	if err := CheckElements(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", of.Digest, err)
	}
	d.read = append(d.read, &readDocument{descriptor: of, raw: raw})
	return raw, nil
}

// split returns the indexes on the way to the chosen manifest, the outermost first, and that manifest: containerd reads
// only these and a config.
func (d *documents) split() (indexes []*readDocument, instance *readDocument) {
	for _, read := range d.read {
		switch {
		case images.IsIndexType(read.descriptor.MediaType):
			indexes = append(indexes, read)
		case images.IsManifestType(read.descriptor.MediaType):
			instance = read
		}
	}
	return indexes, instance
}

// siblings returns the other manifests of an index that have the chosen one's config. containerd pulls all manifests
// for the node's platform or without a platform, and a signature of any of them counts.
func (d *documents) siblings(
	ctx context.Context, index, chosen *readDocument, config digest.Digest,
) ([]Document, error) {
	var listed ocispec.Index
	if err := json.Unmarshal(index.raw, &listed); err != nil {
		return nil, fmt.Errorf("the index %s: %w", index.descriptor.Digest, err)
	}
	var same []Document
	for _, other := range listed.Manifests {
		if other.Digest == chosen.descriptor.Digest || !images.IsManifestType(other.MediaType) ||
			!samePlatform(other.Platform, chosen.descriptor.Platform) {
			continue
		}
		raw, err := d.get(ctx, other)
		if err != nil {
			return nil, err
		}
		var manifest ocispec.Manifest
		if err := json.Unmarshal(raw, &manifest); err == nil && manifest.Config.Digest == config {
			same = append(same, (&readDocument{descriptor: other, raw: raw}).document())
		}
	}
	return same, nil
}

// samePlatform reports whether a manifest can have the same config as the chosen one, whose platform is the second
// argument; if either has no platform, it can.
func samePlatform(a, b *ocispec.Platform) bool {
	if a == nil || b == nil {
		return a == nil || platforms.Default().Match(*a)
	}
	return platforms.FormatAll(platforms.Normalize(*a)) == platforms.FormatAll(platforms.Normalize(*b))
}

// readerAt is a [containerdcontent.ReaderAt] of bytes.
type readerAt struct{ *bytes.Reader }

// Close does nothing: bytes need not be closed.
func (*readerAt) Close() error { return nil }
