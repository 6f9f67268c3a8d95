package origin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxBlob is the size of the largest manifest, index or config that is read. Registries take no larger manifests
// (distribution, Docker Hub, ECR: 4 MiB), but a tenant can have one of 300 MiB pulled.
const maxBlob = 4 << 20

// What is wrong with a blob decides when it is read again. Any other error is a failure of containerd's.
var (
	// errAbsent: it may come.
	errAbsent = errors.New("is not in containerd's content store")
	// errCorrupt: it may be repaired.
	errCorrupt = errors.New("does not have that digest")
	// errUseless: it will always be so, for a digest stands for the same bytes for ever.
	errUseless = errors.New("is not read")
)

// readBlob returns bytes that hash to the digest.
func (c *Containerd) readBlob(ctx context.Context, blob digest.Digest) ([]byte, error) {
	if err := blob.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUseless, err)
	}
	ctx = c.in(ctx)
	reader, err := c.client.ContentStore().ReaderAt(ctx, ocispec.Descriptor{Digest: blob})
	if errdefs.IsNotFound(err) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	defer reader.Close()
	size := reader.Size()
	if size < 0 || size > maxBlob {
		return nil, fmt.Errorf("%w: its size is %d bytes, and %d are allowed", errUseless, size, maxBlob)
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(reader, 0, size), raw); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if blob.Algorithm().FromBytes(raw) != blob {
		return nil, errCorrupt
	}
	return raw, nil
}
