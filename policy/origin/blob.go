package origin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
)

// maxBlob is the size of the largest manifest, index or config that is read. Registries accept no larger manifest
// (distribution, Docker Hub, ECR: 4 MiB), but a tenant can make a node pull one of 300 MiB.
const maxBlob = 4 << 20

// hashedAtOnce is how many bytes are hashed between two pauses.
const hashedAtOnce = 64 << 10

// The kind of defect decides when a blob is read again. Any other error is a failure of containerd.
var (
	// errAbsent: the blob may be downloaded later.
	errAbsent = errors.New("is not in containerd's content store")
	// errCorrupt: the blob may be repaired.
	errCorrupt = errors.New("does not have that digest")
	// errUnsupported is permanent, because the bytes of a digest never change.
	errUnsupported = errors.New("is not read")
)

// readBlob returns bytes that hash to the digest. The pacer may be nil.
func (c *Containerd) readBlob(ctx context.Context, blob digest.Digest, pacer *policy.Pacer) ([]byte, error) {
	if err := blob.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsupported, err)
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
		return nil, fmt.Errorf("%w: its size is %d bytes, and %d are allowed", errUnsupported, size, maxBlob)
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(reader, 0, size), raw); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	verifier := blob.Verifier()
	for rest := raw; len(rest) > 0; {
		pacer.Pause(ctx)
		n, _ := verifier.Write(rest[:min(len(rest), hashedAtOnce)])
		rest = rest[n:]
	}
	if !verifier.Verified() {
		return nil, errCorrupt
	}
	return raw, nil
}
