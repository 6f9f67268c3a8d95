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

// MaxManifest bounds a manifest, an index or a list of referrers, in bytes.
const MaxManifest = 4 << 20

// maxElements bounds the elements of a manifest, an index or a list of referrers: its braces, brackets and commas.
// Each becomes a value some forty times as long as itself, and a document of 4 MiB can consist of nothing else. In
// those that people make an element has forty bytes and more.
const maxElements = 1 << 17

// CheckElements returns an error for a document that is not to be parsed.
func CheckElements(raw []byte) error {
	elements := bytes.Count(raw, []byte{'{'}) + bytes.Count(raw, []byte{'['}) + bytes.Count(raw, []byte{','})
	if elements > maxElements {
		return fmt.Errorf("it has %d elements, more than the %d that are read", elements, maxElements)
	}
	return nil
}

// errNoDigest reports that what a registry serves names something without a digest.
var errNoDigest = errors.New("it names no digest that could be verified")

// ContentError is an error of what a registry serves, not of reaching it.
type ContentError struct {
	Problem string
	// Permanent reports whether the problem is in what the registry lists, where the next try will find it again.
	Permanent bool
}

// Error implements error.
func (e *ContentError) Error() string { return e.Problem }

// PermanentError returns a [ContentError] that the next try will find again.
func PermanentError(format string, args ...any) error {
	return &ContentError{Problem: fmt.Sprintf(format, args...), Permanent: true}
}

func temporaryError(format string, args ...any) error {
	return &ContentError{Problem: fmt.Sprintf(format, args...)}
}

// ReadContent reads what a descriptor describes and verifies its size and digest.
func ReadContent(ctx context.Context, from remotes.Fetcher, of ocispec.Descriptor) ([]byte, error) {
	// Addresses that a manifest brings along are not followed, nor is content that it brings along taken.
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
		return nil, temporaryError("%s has more than the %d bytes announced", of.Digest, of.Size)
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", of.Digest, err)
	case int64(len(content)) != of.Size:
		return nil, temporaryError("%s has %d bytes, and %d were announced", of.Digest, len(content), of.Size)
	case of.Digest.Algorithm().FromBytes(content) != of.Digest:
		return nil, temporaryError("what the registry has as %s has another digest", of.Digest)
	}
	return content, nil
}
