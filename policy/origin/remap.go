package origin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// isRemapped recognises the snapshot that containerd inserts between image and container if the container has a user
// namespace and the snapshotter cannot map IDs: a committed copy of the image's files with other owners. Its key is a
// hash of the image's chain ID and the mappings (containerd 2.4: client.remappedSnapshot.ID), which are labels of the
// container's snapshot. Without a check of the key, an image with one more layer would be accepted.
func isRemapped(ctx context.Context, in snapshots.Snapshotter, info snapshots.Info, chain string) (bool, error) {
	if !hasRemappedKey(info, chain) {
		return false, nil
	}
	between, err := in.Stat(ctx, info.Parent)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return between.Kind == snapshots.KindCommitted && between.Parent == chain, nil
}

// originalChain returns the chain ID of the image that a container's snapshot was made from: its parent, or if that is
// a remapped copy, the parent of the copy.
func originalChain(ctx context.Context, in snapshots.Snapshotter, info snapshots.Info) (string, error) {
	if info.Parent == "" || !hasMappings(info.Labels) {
		return info.Parent, nil
	}
	between, err := in.Stat(ctx, info.Parent)
	if errdefs.IsNotFound(err) {
		return info.Parent, nil
	}
	if err != nil {
		return "", err
	}
	if between.Kind == snapshots.KindCommitted && hasRemappedKey(info, between.Parent) {
		return between.Parent, nil
	}
	return info.Parent, nil
}

// hasRemappedKey reports whether the parent of a container's snapshot has the key of a remapped copy of an image.
func hasRemappedKey(info snapshots.Info, chain string) bool {
	key, err := remappedKey(chain, info.Labels)
	// Labels that are not mappings were not set by containerd.
	return err == nil && key != "" && info.Parent == key
}

func hasMappings(labels map[string]string) bool {
	return labels[snapshots.LabelSnapshotUIDMapping] != "" || labels[snapshots.LabelSnapshotGIDMapping] != ""
}

// remappedKey returns the key of the remapped copy of an image, or "" if there are no mappings. The field names are
// those of containerd, because they are hashed.
func remappedKey(chain string, labels map[string]string) (string, error) {
	var remapped struct {
		Parent string `json:"Parent"`
		IDMap  struct {
			UIDMap []specs.LinuxIDMapping `json:"UidMap"`
			GIDMap []specs.LinuxIDMapping `json:"GidMap"`
		} `json:"IDMap"`
	}
	uids, gids := labels[snapshots.LabelSnapshotUIDMapping], labels[snapshots.LabelSnapshotGIDMapping]
	if !hasMappings(labels) {
		return "", nil
	}
	remapped.Parent = chain
	var err error
	if remapped.IDMap.UIDMap, err = parseMappings(uids); err != nil {
		return "", err
	}
	if remapped.IDMap.GIDMap, err = parseMappings(gids); err != nil {
		return "", err
	}
	raw, err := json.Marshal(remapped)
	if err != nil {
		return "", err
	}
	return digest.FromBytes(raw).String(), nil
}

// parseMappings reads container:host:size, separated by commas, and sorts by container ID.
func parseMappings(label string) ([]specs.LinuxIDMapping, error) {
	if label == "" {
		return nil, nil
	}
	var mappings []specs.LinuxIDMapping
	for part := range strings.SplitSeq(label, ",") {
		fields := strings.Split(part, ":")
		if len(fields) != 3 {
			return nil, fmt.Errorf("ID mapping %q does not have three parts", part)
		}
		var numbers [3]uint32
		for i, field := range fields {
			number, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("ID mapping %q: %w", part, err)
			}
			numbers[i] = uint32(number)
		}
		mappings = append(mappings, specs.LinuxIDMapping{
			ContainerID: numbers[0], HostID: numbers[1], Size: numbers[2],
		})
	}
	slices.SortStableFunc(mappings, func(a, b specs.LinuxIDMapping) int {
		return cmp.Compare(a.ContainerID, b.ContainerID)
	})
	return mappings, nil
}
