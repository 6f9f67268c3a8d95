package origin

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
)

// maxLabel is the size of a label, its key and value, up to which it is compared. containerd drops labels of images
// over 4096 bytes (containerd 2.2 to 2.3: pkg/labels).
const maxLabel = 2048

// reservedLabels are the prefixes of labels that are not compared: the kubelet's replace those of the image, and
// containerd does not copy its own from images (containerd 2.2 to 2.3: internal/cri/util, BuildLabels).
func reservedLabels() []string {
	return []string{"io.kubernetes.", "io.cri-containerd", "io.containerd.", "containerd.io/"}
}

// Alike returns the configs that cannot be told apart by the layers and labels of a container: the question's own, and
// those with the same layers that can be the wanted image. [Containerd.Content] returns the same for such a container
// if the runtime reports no config.
func (c *Containerd) Alike(ctx context.Context, q policy.Question) ([]digest.Digest, error) {
	chain, err := c.chainID(c.in(ctx), q.Config)
	if err != nil {
		return nil, err
	}
	configs, err := c.withLayers(c.in(ctx), chain, q.Reference)
	if err != nil || len(configs) < 2 {
		return configs, err
	}
	labels, err := c.imageLabels(ctx, q.Config)
	if err != nil {
		return configs, nil //nolint:nilerr // Without labels nothing can be told apart.
	}
	return c.narrow(ctx, configs, labels), nil
}

// narrow removes the configs with a label that the container does not have. The CRI plugin copies all labels of an
// image to its container, so the image that the container runs is never removed. Images whose labels the container has
// cannot be told apart. It removes nothing if no label shows that the runtime has copied those of an image.
func (c *Containerd) narrow(ctx context.Context, configs []digest.Digest, container map[string]string) []digest.Digest {
	if len(configs) < 2 || !hasImageLabels(container) {
		return configs
	}
	var remaining []digest.Digest
	for _, config := range configs {
		labels, err := c.imageLabels(ctx, config)
		if err != nil || containsLabels(container, labels) {
			remaining = append(remaining, config)
		}
	}
	if len(remaining) == 0 {
		return configs
	}
	return remaining
}

// imageLabels reads the labels of an image, as containerd reads them.
func (c *Containerd) imageLabels(ctx context.Context, config digest.Digest) (map[string]string, error) {
	raw, err := c.readBlob(ctx, config, nil)
	if err != nil {
		return nil, err
	}
	var image ocispec.Image
	if err := json.Unmarshal(raw, &image); err != nil {
		return nil, err
	}
	return image.Config.Labels, nil
}

// hasImageLabels reports whether a container has a label that can only be its image's.
func hasImageLabels(container map[string]string) bool {
	for key, value := range container {
		if compared(key, value) {
			return true
		}
	}
	return false
}

// containsLabels reports whether a container has all labels of an image that are compared.
func containsLabels(container, image map[string]string) bool {
	for key, value := range image {
		if got, has := container[key]; compared(key, value) && (!has || got != value) {
			return false
		}
	}
	return true
}

func compared(key, value string) bool {
	for _, prefix := range reservedLabels() {
		if strings.HasPrefix(key, prefix) {
			return false
		}
	}
	return key != "" && value != "" && len(key)+len(value) <= maxLabel
}
