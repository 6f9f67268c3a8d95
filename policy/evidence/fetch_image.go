package evidence

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

	"github.com/countersign/countersign/policy"
)

const (
	// maxDocuments is how many manifests, indexes and configurations of one image are read.
	maxDocuments = 64
	// maxDepth is how many indexes lead to a manifest.
	maxDepth = 4
)

// Image reads what a registry has of an image by its digest: the manifest that containerd would choose of it on this
// node, then other manifests of the same configuration and platform, then the indexes that lead to it. Nothing of it
// is downloaded besides; everything is verified. The reference, which is the image's only original, says in which
// repository.
//
// The choice is containerd's own (2.4, core/images.Manifest): an image without a manifest for this node's platform is
// an error, and it cannot be pulled either.
func (r *Registries) Image(
	ctx context.Context, ref reference.Named, target digest.Digest,
) (*policy.Image, error) {
	if err := target.Validate(); err != nil {
		return nil, fmt.Errorf("reading the image %s@%s: %w", ref.Name(), target, err)
	}
	canonical, err := reference.WithDigest(reference.TrimNamed(ref), target)
	if err != nil {
		return nil, fmt.Errorf("reading the image %s@%s: %w", ref.Name(), target, err)
	}
	var image *policy.Image
	ask := func(ctx context.Context, resolver remotes.Resolver) error {
		name, top, err := resolver.Resolve(ctx, canonical.String())
		if err != nil {
			return err
		}
		from, err := resolver.Fetcher(ctx, name)
		if err != nil {
			return err
		}
		image, err = readImage(ctx, from, top)
		return err
	}
	if err := r.first(ctx, canonical, docker.HostCapabilityPull, ask); err != nil {
		return nil, err
	}
	for i := range image.Manifests {
		image.Manifests[i].Repositories = []string{ref.Name()}
	}
	image.Originals = []reference.Named{ref}
	return image, nil
}

func readImage(ctx context.Context, from remotes.Fetcher, top ocispec.Descriptor) (*policy.Image, error) {
	read := &documents{from: from}
	chosen, err := images.Manifest(ctx, read, top, platforms.Default())
	if err != nil {
		return nil, err
	}
	config := chosen.Config.Digest
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("its configuration has the digest %.80q: %w", config, err)
	}
	indexes, instance := read.split()
	image := &policy.Image{Config: config, Confirmed: true, Manifests: []policy.Manifest{instance.manifest()}}
	for _, index := range slices.Backward(indexes) {
		same, err := read.siblings(ctx, index, instance, config)
		if err != nil {
			return nil, err
		}
		image.Manifests = append(image.Manifests, same...)
	}
	for _, index := range slices.Backward(indexes) {
		image.Manifests = append(image.Manifests, index.manifest())
	}
	return image, nil
}

// document is a manifest, an index or a configuration, verified.
type document struct {
	descriptor ocispec.Descriptor
	raw        []byte
}

func (d *document) manifest() policy.Manifest {
	return policy.Manifest{Digest: d.descriptor.Digest, MediaType: d.descriptor.MediaType, Bytes: d.raw}
}

// documents is a [containerdcontent.Provider] of what a registry has, and remembers what was read.
type documents struct {
	from remotes.Fetcher
	read []*document
}

// ReaderAt reads a document in full.
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
	if of.Size < 0 || of.Size > maxManifest {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", of.Digest, of.Size, maxManifest)
	}
	indexes := 0
	for _, known := range d.read {
		if images.IsIndexType(known.descriptor.MediaType) {
			indexes++
		}
	}
	if len(d.read) >= maxDocuments || indexes > maxDepth {
		return nil, fmt.Errorf("more than %d documents, or %d indexes, would have to be read", maxDocuments, maxDepth)
	}
	raw, err := readContent(ctx, d.from, of)
	if err != nil {
		return nil, err
	}
	if err := checkElements(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", of.Digest, err)
	}
	d.read = append(d.read, &document{descriptor: of, raw: raw})
	return raw, nil
}

// split returns the indexes on the way to the chosen manifest, the outermost first, and that manifest: containerd
// reads nothing else, but for a configuration.
func (d *documents) split() (indexes []*document, instance *document) {
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

// siblings returns the other manifests of an index that have the chosen one's configuration. containerd pulls all that
// are for the node's platform, or for none that is named, and a signature of any of them counts.
func (d *documents) siblings(
	ctx context.Context, index, chosen *document, config digest.Digest,
) ([]policy.Manifest, error) {
	var listed ocispec.Index
	if err := json.Unmarshal(index.raw, &listed); err != nil {
		return nil, fmt.Errorf("the index %s: %w", index.descriptor.Digest, err)
	}
	var same []policy.Manifest
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
			same = append(same, (&document{descriptor: other, raw: raw}).manifest())
		}
	}
	return same, nil
}

// samePlatform reports whether a manifest can have the same configuration as the chosen one, whose platform comes
// second; where either is not named, it can.
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
