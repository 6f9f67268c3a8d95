package origin

import (
	"context"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Volume is a [policy.VolumeFunc]. The files of a volume are known by its snapshot.
//
// The refusals: unknown-origin if the volume was made for another sandbox, or no image on this node has its layers;
// unavailable and pending as for [Containerd.Image].
func (c *Containerd) Volume(ctx context.Context, sandbox, source string) (policy.Volume, bool, error) {
	volume, ok, err := parseVolume(source)
	if !ok || err != nil {
		return policy.Volume{}, ok, err
	}
	if volume.sandbox != sandbox {
		return policy.Volume{}, true, policy.Refuse(policy.UnknownOrigin,
			"the image volume %s was made for sandbox %s and not for %s", volume.key, volume.sandbox, sandbox)
	}
	ctx = c.in(ctx)
	chain, err := c.volumeLayers(ctx, volume.key)
	if err != nil {
		return policy.Volume{}, true, err
	}
	if err := c.awaitLayers(ctx, chain); err != nil {
		return policy.Volume{}, true, err
	}
	return policy.Volume{
		Layers: chain,
		Likely: func() []digest.Digest { return c.images.likely(volume.path, chain) },
		All:    func() []digest.Digest { return c.images.configs(chain) },
	}, true, nil
}

// volumeLayers returns the chain ID of the layers of an image volume.
func (c *Containerd) volumeLayers(ctx context.Context, key string) (chain string, err error) {
	if parent, ok := c.preparedParent(key); ok {
		return parent, nil
	}
	info, _, err := c.snapshot(ctx, key)
	if err != nil {
		return "", err
	}
	if info.Kind != snapshots.KindActive && info.Kind != snapshots.KindView {
		return "", policy.Refuse(policy.UnknownOrigin, "the image volume %s is a snapshot of kind %s", key, info.Kind)
	}
	return info.Parent, nil
}

// awaitLayers returns nil once an image is known that has these layers.
func (c *Containerd) awaitLayers(ctx context.Context, chain string) error {
	if known, followed := c.images.knows(chain); known && followed {
		return nil
	}
	isKnown := func() bool {
		known, _ := c.images.knows(chain)
		return known
	}
	if _, _, err := c.await(ctx, "", isKnown); err != nil {
		return err
	}
	if isKnown() {
		return nil
	}
	failure, count := c.images.unreadable("")
	if count == 0 {
		return policy.Refuse(policy.UnknownOrigin, "no image in containerd has the layers %q", chain)
	}
	return policy.Refuse(policy.Unavailable,
		"no image that could be read in containerd has the layers %q, and %d could not be read: %s", chain, count, failure)
}

// knows reports whether an image is known that has these layers.
func (m *imageCache) knows(chain string) (known, followed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.chains.of(chain)) > 0, m.followed
}

// configs returns the configs of all images that have these layers, in no order.
func (m *imageCache) configs(chain string) []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.chains.of(chain))
}

// maxLikely limits the images of one index that have the same layers.
const maxLikely = 8

// likely returns the configs with these layers to which a manifest or index leads.
func (m *imageCache) likely(target digest.Digest, chain string) (found []digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, config := range m.lockedConfigs(target) {
		if m.images[config].chainID == chain && len(found) < maxLikely {
			found = append(found, config)
		}
	}
	return found
}

// volume is an image volume.
type volume struct {
	// key is the key of its snapshot: its directory on the host.
	key     string
	sandbox string
	// path is the digest in its path, as of a manifest or an index.
	path digest.Digest
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
			return volume{
				key: "/" + strings.Join(parts[:i+3], "/"), sandbox: parts[i+1],
				path: digest.NewDigestFromEncoded(digest.SHA256, parts[i+2]),
			}, true, nil
		}
	}
	return volume{}, false, nil
}

// isDigestHex reports whether a name can be the encoded part of a digest of any algorithm.
func isDigestHex(s string) bool {
	return len(s) >= 32 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
