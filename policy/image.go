package policy

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Image describes the image that a container runs. Package origin finds it by its config digest.
type Image struct {
	// Config is the digest of the config.
	Config digest.Digest
	// Manifests are the manifests with that config, and the indexes that list them. An Image without Rest has at least
	// one.
	Manifests []Manifest
	// PulledAs are the references under which this image was pulled or imported, normalised, without image IDs.
	PulledAs []reference.Named
	// Confirmed reports whether the data above was compared with the runtime for this question, after the last event. A
	// refusal that rests on cached data alone is not final.
	Confirmed bool
	// Rest returns the image with everything that is known of it. It is nil if that is this one. Otherwise this one has
	// no more than what the question's own reference leads to, which is enough to admit and not enough to refuse. Rest
	// takes the longer the more others have put on the node, so that no callback calls it.
	Rest func(context.Context) (*Image, error)
	// Own returns the digests of the manifests to which one of the references in PulledAs leads, without those to which
	// only other references of its repository lead. Nil: that is not known.
	Own func(reference.Named) []digest.Digest
	// Holds returns a function that reports whether the image is still obtained under one of the references in PulledAs.
	// It is fast, and allocates nothing. If it is nil, that is unknown.
	Holds func(reference.Named) func() bool
}

// ReadFunc reads a manifest or an index. What it returns hashes to the digest.
type ReadFunc func(context.Context, digest.Digest) ([]byte, error)

// Manifest is an image manifest or an index.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	// Bytes hash to Digest: whoever makes a Manifest has checked. Where they are nil, Read returns them: they are read
	// only for a judge who needs them.
	Bytes []byte
	Read  ReadFunc
	// Size is how many bytes there are, if that is known without reading them.
	Size int
	// Repositories are the names (without tag or digest) of the originals that lead to this manifest.
	Repositories []string
}

// withBytes returns the manifest with its bytes.
func (m Manifest) withBytes(ctx context.Context) (Manifest, error) {
	if m.Bytes != nil || m.Read == nil {
		return m, nil
	}
	raw, err := m.Read(ctx, m.Digest)
	if err != nil {
		return m, fmt.Errorf("reading manifest %s: %w", m.Digest, err)
	}
	m.Bytes = raw
	return m, nil
}

// size returns how many bytes the manifest has, as far as that is known.
func (m Manifest) size() int { return max(m.Size, len(m.Bytes)) }

// ImageFunc finds the image a question is about. An error that is a [*Refusal] carries its reason; any other is a
// failure to find out.
type ImageFunc func(context.Context, Question) (*Image, error)
