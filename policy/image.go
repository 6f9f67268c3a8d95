package policy

import (
	"context"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Image describes the image that a container runs. Package origin finds it by its config digest.
type Image struct {
	// Config is the digest of the config.
	Config digest.Digest
	// Manifests are the manifests with that config, and the indexes that list them. An Image has at least one.
	Manifests []Manifest
	// PulledAs are the references under which this image was pulled or imported, normalised, without image IDs.
	PulledAs []reference.Named
	// Confirmed reports whether the data above was compared with the runtime for this question, after the last event. A
	// refusal that rests on cached data alone is not final.
	Confirmed bool
}

// Manifest is an image manifest or an index, with its bytes in the content store.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	// Bytes have the hash Digest; whoever creates a Manifest must have checked that.
	Bytes []byte
	// Repositories are the names, without tag or digest, of the original references that lead to this manifest.
	Repositories []string
}

// ImageFunc returns the image of a question. If the error is a [*Refusal], it contains the reason; any other error
// means that the image could not be determined.
type ImageFunc func(context.Context, Question) (*Image, error)
