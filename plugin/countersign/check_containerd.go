package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/origin"
)

// openContainerd reads containerd's images and the evidence that the daemon has stored.
func openContainerd(ctx context.Context, config *conf.Config, ref string) (*source, error) {
	namespace := config.Containerd.Namespace
	connection, err := containerd.Connect(ctx, config.Containerd.Address, namespace)
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "%v", err)
	}
	found, err := resolve(ctx, connection, ref)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	images := origin.New(connection, namespace, slog.New(slog.DiscardHandler))
	return &source{
		config:  found,
		image:   images.Image,
		kept:    evidence.Read(config.Evidence.Directory),
		foundBy: foundBy(ctx, connection),
		alike:   images.Alike,
		close:   func() { _ = errors.Join(images.Close(), connection.Close()) },
	}, nil
}

// foundBy returns how the images of containers are identified with this containerd; empty: it does not say.
func foundBy(ctx context.Context, connection *client.Client) policy.FoundBy {
	version, err := connection.Version(ctx)
	if err != nil {
		return ""
	}
	return nri.FoundBy(version.Version)
}

// resolve returns the config digest of the image that a pod with this reference would run on this node. The kubelet
// makes the same request to containerd before it creates a container.
func resolve(ctx context.Context, connection *client.Client, ref string) (digest.Digest, error) {
	image, err := findImage(ctx, connection, ref)
	if err != nil {
		return "", err
	}
	config, err := image.Config(ctx)
	if err != nil {
		return "", policy.Refuse(policy.Unavailable, "reading image %s: %v", image.Name(), err)
	}
	return config.Digest, nil
}

func findImage(ctx context.Context, connection *client.Client, ref string) (client.Image, error) {
	if hexadecimal, ok := (policy.Question{Reference: ref}).ImageID(); ok {
		return findByID(ctx, connection, hexadecimal)
	}
	named, err := policy.Normalize(ref)
	if err != nil {
		return nil, policy.Refuse(policy.BadRequest, "%v", err)
	}
	image, err := connection.GetImage(ctx, named.String())
	if errdefs.IsNotFound(err) {
		return nil, policy.Refuse(policy.Unavailable, "%s is not on this node", named)
	}
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "asking containerd for %s: %v", named, err)
	}
	return image, nil
}

func findByID(ctx context.Context, connection *client.Client, hexadecimal string) (client.Image, error) {
	images, err := connection.ListImages(ctx, "name~="+strconv.Quote("^sha256:"+hexadecimal))
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "asking containerd for image %s: %v", hexadecimal, err)
	}
	if len(images) != 1 {
		return nil, policy.Refuse(policy.Unavailable, "%d images on this node have an ID that begins with sha256:%s",
			len(images), hexadecimal)
	}
	return images[0], nil
}
