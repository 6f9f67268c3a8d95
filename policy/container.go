package policy

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
)

// FoundBy is how the image of a container was identified. The zero value identifies none.
type FoundBy string

// The ways to identify an image.
const (
	// FoundByConfig: the runtime reported the digest of the image's configuration.
	FoundByConfig FoundBy = "config digest"
	// FoundByLayers: the runtime reported no image. The images with the container's layers that were obtained from the
	// repository that the pod names are the candidates, and each of them must be accepted. This is weaker: images with
	// the same layers can have other entry points.
	FoundByLayers FoundBy = "layers"
)

// WaysToFind returns every way, for metrics that start at zero.
func WaysToFind() []FoundBy { return []FoundBy{FoundByConfig, FoundByLayers} }

// Container identifies a container whose root filesystem is prepared.
type Container struct {
	// ID is the runtime's identifier of the container.
	ID string
	// Config is the digest of the configuration that the runtime reports. It is empty if the runtime reports none.
	Config digest.Digest
	// Reference is what the pod's author wrote as image. It matters only if the runtime reports no configuration.
	Reference string
	// Labels are the container's labels, among which the runtime has copied those of the image. They matter only if the
	// runtime reports no configuration.
	Labels map[string]string
}

// ContentFunc returns the config digests of the images that the root filesystem prepared for a container can belong
// to. With a config digest it verifies that the root filesystem has that config's layers, and returns that digest and
// no other. Without one it returns every config with those layers that was obtained from the repository of the
// reference and whose labels the container has: it may run any of them, so all must be accepted. It is called for every
// container and never cached: a reported name or digest can be forged, the snapshot cannot.
type ContentFunc func(context.Context, Container) (configs []digest.Digest, err error)

// Record is what the runtime has on record of a container once it is created.
type Record struct {
	// Config is the digest of the configuration that the container runs.
	Config digest.Digest
	// Volumes are its image volumes.
	Volumes []RecordedVolume
}

// RecordedVolume is an image that is mounted into a container.
type RecordedVolume struct {
	// Destination is the mount point in the container.
	Destination string
	// Config is the digest of the image's configuration. It is empty if the runtime was given the image by another name.
	Config digest.Digest
}

// RecordFunc returns the record of a container. The error is [ErrNoContainer] if there is no such container.
type RecordFunc func(ctx context.Context, id string) (Record, error)

// ErrNoContainer is the error of a [RecordFunc] about a container that was removed.
var ErrNoContainer = errors.New("the runtime has no such container")
