package nri

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// maxCandidates limits the images with the same layers that are evaluated for one container.
const maxCandidates = 64

// details are the results of a decision in addition to its verdict.
type details struct {
	// config is that of the image that the verdict is about, if there is exactly one.
	config digest.Digest
	// configs are the images that the container can run, and volumes its image volumes, by mount point.
	configs []digest.Digest
	volumes map[string]policy.Volume
	// denied is the mount point of the image volume that is denied, if one is. Otherwise admitted are the image volumes.
	denied   string
	admitted []admittedVolume
	// gone reports whether the container was removed.
	gone bool
}

type admittedVolume struct {
	at      string
	verdict policy.Verdict
}

// decide first determines to which image the root filesystem belongs, which no name or digest proves. Then it evaluates
// that image, and then the image of each image volume.
func (h *Handler) decide(ctx context.Context, info ContainerInfo) (verdict policy.Verdict, more details) {
	if err := info.check(); err != nil {
		return policy.Denial(err), details{}
	}
	configs, err := h.Content(ctx, info.container())
	if err != nil {
		return policy.Denial(err), details{}
	}
	more.configs = configs
	verdict, more.config = DecideEvery(configs, func(config digest.Digest) policy.Verdict {
		return h.Decide(ctx, info.question(config))
	})
	for _, mount := range info.Mounts {
		if !verdict.Admitted() {
			break
		}
		volume, isVolume, err := h.Volume(ctx, info.Sandbox, mount.Source)
		if err != nil {
			return policy.Denial(err), more.deniedAt(mount.Destination)
		}
		if !isVolume {
			continue
		}
		more.addVolume(mount.Destination, volume)
		found := h.DecideVolume(ctx, info.Namespace, volume)
		if !found.Admitted() {
			return found, more.deniedAt(mount.Destination)
		}
		more.admitted = append(more.admitted, admittedVolume{mount.Destination, found})
	}
	return verdict, more
}

// deniedAt returns the details of a denial because of an image volume.
func (d details) deniedAt(destination string) details {
	d.denied, d.admitted = destination, nil
	return d
}

func (d *details) addVolume(destination string, volume policy.Volume) {
	if d.volumes == nil {
		d.volumes = make(map[string]policy.Volume)
	}
	d.volumes[destination] = volume
}

func noImage() policy.Verdict {
	return policy.Denial(policy.Refuse(policy.UnknownOrigin, "no image on this node has these layers"))
}

// DecideEvery evaluates the images that a root filesystem can belong to. Images with the same layers cannot be told
// apart, and their entry points differ, so every one must be accepted. The verdict is pending if one of them is. It
// also returns the image that the verdict is about, unless several are accepted.
func DecideEvery(
	configs []digest.Digest, decide func(digest.Digest) policy.Verdict,
) (verdict policy.Verdict, config digest.Digest) {
	switch {
	case len(configs) == 0:
		return noImage(), ""
	case len(configs) > maxCandidates:
		return policy.Denial(policy.Refuse(policy.UnknownOrigin,
			"%d images have these layers, and at most %d are evaluated", len(configs), maxCandidates)), ""
	}
	admitted := true
	for i, candidate := range configs {
		found := decide(candidate)
		switch {
		case !found.Admitted() && admitted:
			verdict, config, admitted = found, candidate, false
		case !found.Admitted():
			if nearer := verdict.Or(found); nearer.Reason != verdict.Reason {
				verdict, config = nearer, candidate
			}
		case i == 0:
			verdict, config = found, candidate
		case admitted:
			if found.WouldDeny == nil {
				found.WouldDeny = verdict.WouldDeny
			}
			verdict, config = found, ""
		}
	}
	return verdict, config
}

// byRecord returns decideRecord for a container that was validated.
func (h *Handler) byRecord(validated *validation) decideFunc {
	return func(ctx context.Context, info ContainerInfo) (policy.Verdict, details) {
		return h.decideRecord(ctx, info, validated)
	}
}

// decideRecord evaluates the images in the runtime's record. They must be among those that the validation found; if
// that is not known, the files are compared with them again.
func (h *Handler) decideRecord(
	ctx context.Context, info ContainerInfo, validated *validation,
) (verdict policy.Verdict, more details) {
	record, err := h.Record(ctx, info.ID)
	if err != nil {
		return policy.Denial(err), details{gone: isGone(err)}
	}
	info.Config = record.Config
	more = details{config: record.Config, configs: []digest.Digest{record.Config}}
	if err := h.checkRecorded(ctx, info, validated); err != nil {
		return policy.Denial(err), more
	}
	verdict = h.Decide(ctx, info.Question())
	for _, volume := range record.Volumes {
		if !verdict.Admitted() {
			break
		}
		found := h.decideRecordedVolume(ctx, info, volume, validated)
		if !found.Admitted() {
			return found, more.deniedAt(volume.Destination)
		}
		more.admitted = append(more.admitted, admittedVolume{volume.Destination, found})
	}
	return verdict, more
}

// checkRecorded returns an error unless the recorded image is one that was validated.
func (h *Handler) checkRecorded(ctx context.Context, info ContainerInfo, validated *validation) error {
	if err := info.Question().Validate(); err != nil {
		return err
	}
	if validated == nil {
		_, err := h.Content(ctx, info.container())
		return err
	}
	if !slices.Contains(validated.configs, info.Config) {
		return policy.Refuse(policy.UnknownOrigin, "containerd has image %s on record, and %s was validated",
			info.Config, validated.configs)
	}
	return nil
}

// decideRecordedVolume evaluates an image volume. Its image must have the mounted files. As at validation, it is enough
// if an image with these files is accepted.
func (h *Handler) decideRecordedVolume(
	ctx context.Context, info ContainerInfo, recorded policy.RecordedVolume, validated *validation,
) policy.Verdict {
	volume, err := h.recordedVolume(ctx, info, recorded, validated)
	if err != nil {
		return policy.Denial(err)
	}
	if recorded.Config != "" && !volume.Has(recorded.Config) {
		return policy.Denial(policy.Refuse(policy.UnknownOrigin,
			"containerd has image %s on record for the volume at %s, whose layers are %s",
			recorded.Config, recorded.Destination, volume.Layers))
	}
	return h.DecideVolume(ctx, info.Namespace, volume)
}

// recordedVolume returns the files of an image volume.
func (h *Handler) recordedVolume(
	ctx context.Context, info ContainerInfo, recorded policy.RecordedVolume, validated *validation,
) (policy.Volume, error) {
	if validated != nil {
		volume, ok := validated.volumes[recorded.Destination]
		if !ok {
			return volume, policy.Refuse(policy.UnknownOrigin, "no image volume at %s was validated", recorded.Destination)
		}
		return volume, nil
	}
	at := slices.IndexFunc(info.Mounts, func(m Mount) bool { return m.Destination == recorded.Destination })
	if at < 0 {
		return policy.Volume{}, policy.Refuse(policy.Unavailable, "no mount at %s is reported", recorded.Destination)
	}
	volume, isVolume, err := h.Volume(ctx, info.Sandbox, info.Mounts[at].Source)
	if err == nil && !isVolume {
		err = policy.Refuse(policy.UnknownOrigin, "the mount at %s is no image volume", recorded.Destination)
	}
	return volume, err
}
