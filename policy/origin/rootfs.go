package origin

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Rootfs is a [policy.RootfsFunc]. The snapshot whose key is the container's ID exists when a container is validated
// (containerd 2.4: client.WithNewSnapshot runs before NRI is asked), and its parent is the chain ID of the layers that
// the container will see. For a config that is known this is one call to containerd.
//
// The refusals: unknown-origin when there is no such snapshot, or its layers are not the config's; unavailable when
// containerd could not be asked or the config could not be read.
func (c *Containerd) Rootfs(ctx context.Context, container string, config digest.Digest) error {
	ctx = c.in(ctx)
	chain, err := c.chain(ctx, config)
	if err != nil {
		return err
	}
	info, in, err := c.snapshot(ctx, container)
	if err != nil {
		return err
	}
	if info.Kind != snapshots.KindActive {
		return policy.Refuse(policy.UnknownOrigin, "the root filesystem %s is a snapshot of kind %s", container, info.Kind)
	}
	if info.Parent == chain {
		return nil
	}
	remapped, err := isRemapped(ctx, in, info, chain)
	if err != nil {
		return policy.Refuse(policy.Unavailable, "looking for snapshot %s: %v", info.Parent, err)
	}
	if remapped {
		return nil
	}
	return policy.Refuse(policy.UnknownOrigin,
		"the root filesystem %s was made from the layers %q and not from %q, the layers of image %s",
		container, info.Parent, chain, config)
}

// chain returns the chain ID of a config's layers, from memory or else by reading the config.
func (c *Containerd) chain(ctx context.Context, config digest.Digest) (string, error) {
	if chain, known := c.memory.chain(config); known {
		return chain, nil
	}
	chain, _, err := c.readConfig(ctx, config)
	switch {
	case errors.Is(err, errAbsent):
		return "", policy.Refuse(policy.Unavailable, "the image config %s %v", config, err)
	case err != nil:
		return "", policy.Refuse(policy.Unavailable, "reading the image config %s: %v", config, err)
	}
	return chain, nil
}
