package origin

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Content is a [policy.ContentFunc]. The snapshot whose key is the container's ID exists when a container is validated
// (containerd 2.2 to 2.4: client.WithNewSnapshot runs before NRI is called), and its parent is the chain ID of the
// layers of the container. For a cached image this takes no call to containerd if the event about the snapshot has
// arrived, and otherwise one.
//
// The refusals: unknown-origin if there is no such snapshot, its layers are not those of the config, or no candidate
// image has them; unavailable if a call to containerd failed or a config is unreadable; pending while images are being
// read.
func (c *Containerd) Content(ctx context.Context, container policy.Container) ([]digest.Digest, error) {
	ctx = c.in(ctx)
	if container.Config == "" {
		return c.discover(ctx, container)
	}
	if err := c.verify(ctx, container); err != nil {
		return nil, err
	}
	return []digest.Digest{container.Config}, nil
}

// verify returns nil if a container's root filesystem has the layers of its config.
func (c *Containerd) verify(ctx context.Context, container policy.Container) error {
	chain, err := c.chainID(ctx, container.Config)
	if err != nil {
		return err
	}
	if parent, ok := c.preparedParent(container.ID); ok && parent == chain {
		return nil
	}
	info, in, err := c.rootfs(ctx, container.ID)
	if err != nil {
		return err
	}
	if info.Parent == chain {
		return nil
	}
	remapped, err := isRemapped(ctx, in, info, chain)
	if err != nil {
		return policy.Refuse(policy.Unavailable, "looking up snapshot %s: %v", info.Parent, err)
	}
	if remapped {
		return nil
	}
	return policy.Refuse(policy.UnknownOrigin,
		"the root filesystem %s has the layers %q instead of %q, the layers of image %s",
		container.ID, info.Parent, chain, container.Config)
}

// rootfs returns the snapshot of a container's root filesystem.
func (c *Containerd) rootfs(ctx context.Context, container string) (snapshots.Info, snapshots.Snapshotter, error) {
	info, in, err := c.snapshot(ctx, container)
	if err == nil && info.Kind != snapshots.KindActive {
		err = policy.Refuse(policy.UnknownOrigin, "the root filesystem %s is a snapshot of kind %s", container, info.Kind)
	}
	return info, in, err
}

// chain returns the chain ID of a config's layers, from the cache, or by reading the config.
func (c *Containerd) chainID(ctx context.Context, config digest.Digest) (string, error) {
	if chain, known := c.images.chainID(config); known {
		return chain, nil
	}
	chain, _, err := c.readConfig(ctx, config, nil)
	switch {
	case errors.Is(err, errAbsent):
		return "", policy.Refuse(policy.Unavailable, "the image config %s %v", config, err)
	case err != nil:
		return "", policy.Refuse(policy.Unavailable, "reading the image config %s: %v", config, err)
	}
	return chain, nil
}
