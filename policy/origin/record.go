package origin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// metadataExtension is the extension of containerd's record of a container in which the CRI plugin stores the request
// (containerd 2.2 to 2.4: internal/cri/server, containerMetadataExtension).
const metadataExtension = "io.cri-containerd.container.metadata"

// criMetadata is the part of the extension that is read (containerd 2.2 to 2.4: internal/cri/store/container,
// versionedMetadata). The names of the fields are those of Go and of CRI's protobuf messages.
type criMetadata struct {
	Version  string
	Metadata struct {
		// ImageRef is the image ID, which is the digest of the config.
		ImageRef string
		Config   struct {
			Mounts []struct {
				ContainerPath string    `json:"container_path"`
				Image         *criImage `json:"image"`
			} `json:"mounts"`
		}
	}
}

type criImage struct {
	Image string `json:"image"`
}

// Record is a [policy.RecordFunc]. The record exists once a container is created, but not yet while it is validated. It
// is refused as unavailable if the call to containerd failed, and as internal if the record is not from the CRI plugin.
func (c *Containerd) Record(ctx context.Context, id string) (policy.Record, error) {
	found, err := c.client.ContainerService().Get(c.in(ctx), id)
	if errdefs.IsNotFound(err) {
		return policy.Record{}, fmt.Errorf("container %s: %w", id, policy.ErrNoContainer)
	}
	if err != nil {
		return policy.Record{}, policy.Refuse(policy.Unavailable, "looking up container %s in containerd: %v", id, err)
	}
	extension, ok := found.Extensions[metadataExtension]
	if !ok {
		return policy.Record{}, policy.Refuse(policy.Internal, "the record of container %s lacks %s", id, metadataExtension)
	}
	record, err := parseRecord(extension.GetValue())
	if err != nil {
		return policy.Record{}, policy.Refuse(policy.Internal, "the record of container %s: %v", id, err)
	}
	return record, nil
}

func parseRecord(raw []byte) (policy.Record, error) {
	var metadata criMetadata
	if err := json.Unmarshal(raw, &metadata); err != nil {
		return policy.Record{}, err
	}
	if metadata.Version != "v1" {
		return policy.Record{}, fmt.Errorf("its version is %q and not v1", metadata.Version)
	}
	record := policy.Record{Config: digest.Digest(metadata.Metadata.ImageRef)}
	if err := record.Config.Validate(); err != nil {
		return policy.Record{}, fmt.Errorf("its image %q: %w", metadata.Metadata.ImageRef, err)
	}
	for _, mount := range metadata.Metadata.Config.Mounts {
		if mount.Image == nil || mount.Image.Image == "" {
			continue
		}
		volume := policy.RecordedVolume{Destination: mount.ContainerPath}
		// The kubelet sends an ID. A name would have to be resolved, and may have moved since.
		if config := digest.Digest(mount.Image.Image); config.Validate() == nil {
			volume.Config = config
		}
		record.Volumes = append(record.Volumes, volume)
	}
	return record, nil
}
