package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxManifest limits a manifest, an index or a list of referrers, in bytes.
const MaxManifest = 4 << 20

// maxElements limits the elements of a manifest, an index or a list of referrers: its braces, brackets and commas. Each
// becomes a value of about forty times its size, and a document of 4 MiB can consist of nothing else. In real documents
// an element has at least forty bytes.
const maxElements = 1 << 17

// CheckElements returns an error for a document that must not be parsed.
func CheckElements(raw []byte) error {
	elements := bytes.Count(raw, []byte{'{'}) + bytes.Count(raw, []byte{'['}) + bytes.Count(raw, []byte{','})
	if elements > maxElements {
		return fmt.Errorf("it has %d elements; the maximum is %d", elements, maxElements)
	}
	return nil
}

// errNoDigest reports that content of a registry refers to something without a digest.
var errNoDigest = errors.New("it has no digest that could be verified")

// ContentError is an error about a registry's content, not about reaching it.
type ContentError struct {
	Problem string
	// Permanent reports whether the problem is in the registry's lists, so that a retry will find it again.
	Permanent bool
}

// Error implements error.
func (e *ContentError) Error() string { return e.Problem }

// PermanentError returns a permanent [ContentError].
func PermanentError(format string, args ...any) error {
	return &ContentError{Problem: fmt.Sprintf(format, args...), Permanent: true}
}

func temporaryError(format string, args ...any) error {
	return &ContentError{Problem: fmt.Sprintf(format, args...)}
}

// ReadContent reads the content of a descriptor and verifies its size and digest.
func ReadContent(ctx context.Context, from remotes.Fetcher, of ocispec.Descriptor) ([]byte, error) {
	// URLs and data in the descriptor are not used.
	body, err := from.Fetch(ctx, ocispec.Descriptor{MediaType: of.MediaType, Digest: of.Digest, Size: of.Size})
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", of.Digest, err)
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, of.Size+1))
	switch {
	case errdefs.IsNotFound(err):
		return nil, temporaryError("the registry does not have %s", of.Digest)
	case errdefs.IsFailedPrecondition(err):
		return nil, temporaryError("%s is larger than the announced %d bytes", of.Digest, of.Size)
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", of.Digest, err)
	case int64(len(content)) != of.Size:
		return nil, temporaryError("%s has %d bytes, but %d were announced", of.Digest, len(content), of.Size)
	case of.Digest.Algorithm().FromBytes(content) != of.Digest:
		return nil, temporaryError("the content of %s has another digest", of.Digest)
	}
	return content, nil
}
