package policy

import (
	"context"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Image is what is known of the image a container runs, found from its config digest by package origin.
type Image struct {
	// Config is the digest of the configuration.
	Config digest.Digest
	// Manifests are those whose config that is, and the indexes that list them. An Image has at least one.
	Manifests []Manifest
	// PulledAs are the references this image was pulled or imported under, normalised; image IDs are not among them.
	PulledAs []reference.Named
	// Confirmed reports whether the facts above were compared with the runtime for this very question, after the last
	// event that arrived. A refusal that rests on cached facts alone is not final.
	Confirmed bool
}

// Manifest is an image manifest or an index, as its bytes stand in the content store.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	// Bytes hash to Digest: whoever makes a Manifest has checked.
	Bytes []byte
	// Repositories are the names (without tag or digest) of the originals that lead to this manifest.
	Repositories []string
}

// ImageFunc finds the image a question is about. An error that is a [*Refusal] carries its reason; any other is a
// failure to find out.
type ImageFunc func(context.Context, Question) (*Image, error)

// Container identifies a container whose root filesystem is prepared.
type Container struct {
	// ID is the runtime's identifier of the container.
	ID string
	// Config is the digest of the configuration that the runtime reports. It is empty if the runtime reports none.
	Config digest.Digest
}

// ContentFunc returns the config digests of the images that the root filesystem prepared for a container can belong
// to. With a config digest it verifies that the root filesystem has that config's layers, and returns that digest and
// no other. Without one it returns every config with those layers: the container may run any of them, so all must be
// accepted. It is called for every container and never cached: a reported name or digest can be forged, the snapshot
// cannot.
type ContentFunc func(context.Context, Container) (configs []digest.Digest, err error)
