package origin

import (
	"context"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Volume returns whose files a mount contains, by its source on the host: the config digests of all images on this node
// with its layers, or false if it is not an image volume. It is enough if the pod may run one of these images.
//
// The refusals: unknown-origin if the volume was made for another sandbox, or no image on this node has its layers;
// unavailable and pending as for [Containerd.Image].
func (c *Containerd) Volume(ctx context.Context, sandbox, source string) ([]digest.Digest, bool, error) {
	volume, ok, err := parseVolume(source)
	if !ok || err != nil {
		return nil, ok, err
	}
	if volume.sandbox != sandbox {
		return nil, true, policy.Refuse(policy.UnknownOrigin,
			"the image volume %s was made for sandbox %s and not for %s", volume.key, volume.sandbox, sandbox)
	}
	ctx = c.in(ctx)
	info, _, err := c.snapshot(ctx, volume.key)
	if err != nil {
		return nil, true, err
	}
	if info.Kind != snapshots.KindActive && info.Kind != snapshots.KindView {
		return nil, true, policy.Refuse(policy.UnknownOrigin,
			"the image volume %s is a snapshot of kind %s", volume.key, info.Kind)
	}
	configs, err := c.configs(ctx, info.Parent)
	return configs, true, err
}

// configs returns the configs of the images that have these layers.
func (c *Containerd) configs(ctx context.Context, chain string) ([]digest.Digest, error) {
	if found, followed := c.images.configs(chain); len(found) > 0 && followed {
		return found, nil
	}
	_, _, err := c.await(ctx, "", func() bool {
		found, _ := c.images.configs(chain)
		return len(found) > 0
	})
	if err != nil {
		return nil, err
	}
	found, _ := c.images.configs(chain)
	if len(found) > 0 {
		return found, nil
	}
	failure, count := c.images.unreadable("")
	if count == 0 {
		return nil, policy.Refuse(policy.UnknownOrigin, "no image in containerd has the layers %q", chain)
	}
	return nil, policy.Refuse(policy.Unavailable,
		"no image that could be read in containerd has the layers %q, and %d could not be read: %s", chain, count, failure)
}

func (m *imageCache) configs(chain string) (found []digest.Digest, followed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found = slices.Clone(m.chains.of(chain))
	slices.Sort(found)
	return found, m.followed
}

// volume is an image volume.
type volume struct {
	// key is the key of its snapshot: its directory on the host.
	key     string
	sandbox string
}

// volumesDirectory is where the CRI plugin mounts image volumes: <its state directory>/image-volumes/<sandbox>/<hex>
// (containerd 2.4: internal/cri/server, getImageVolumeHostPath). The state directory can be configured.
const volumesDirectory = "image-volumes"

// parseVolume recognises an image volume by its path. The hex digits prove nothing: they can be the digest of another
// image than the mounted one. containerd cleans paths and resolves links before it calls NRI, so a path with ".." is
// not from containerd.
func parseVolume(source string) (volume, bool, error) {
	parts := strings.FieldsFunc(source, func(r rune) bool { return r == '/' })
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "." })
	if slices.Contains(parts, volumesDirectory) && slices.Contains(parts, "..") {
		return volume{}, true, policy.Refuse(policy.UnknownOrigin, "the mount %q has a path that is not clean", source)
	}
	for i := range len(parts) - 2 {
		if parts[i] == volumesDirectory && isDigestHex(parts[i+2]) {
			return volume{key: "/" + strings.Join(parts[:i+3], "/"), sandbox: parts[i+1]}, true, nil
		}
	}
	return volume{}, false, nil
}

// isDigestHex reports whether a name can be the encoded part of a digest of any algorithm.
func isDigestHex(s string) bool {
	return len(s) >= 32 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
