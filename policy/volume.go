package policy

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
)

// Volume describes the files of an image volume. Nothing but these files is used of an image, and images with the same
// layers have the same files, so that one accepted image is enough.
type Volume struct {
	// Layers identifies the files: it is the chain ID of their layers.
	Layers string
	// Likely returns the configs of images with these layers to which the path of the volume points. A path can be
	// forged: it only tells what to judge first.
	Likely func() []digest.Digest
	// All returns the configs of all images with these layers. Anybody can have many such images pulled.
	All func() []digest.Digest
}

// Has reports whether an image has the files of the volume.
func (v Volume) Has(config digest.Digest) bool { return slices.Contains(v.All(), config) }

// VolumeFunc describes the image volume that a mount of a sandbox is, by the mount's source on the host. A mount of
// another kind is none: false.
type VolumeFunc func(ctx context.Context, sandbox, source string) (volume Volume, isVolume bool, err error)

// maxVolumeImages is how many images with the same layers a callback judges, besides those that were admitted before.
const maxVolumeImages = 16

// volumeKey is a namespace, and the layers of a volume. Without a namespace it is all of them.
type volumeKey struct{ namespace, layers string }

// Bounds of the images that are remembered for volumes.
const (
	maxVolumes    = 8192
	maxVolumeSize = 4 << 20
	maxPerVolume  = 4
)

func newVolumes() *cache[volumeKey, []digest.Digest] {
	return newCache(maxVolumes, maxVolumeSize, func(key volumeKey, list []digest.Digest) int {
		const fixed, ofDigest = 256, 96
		return fixed + len(key.namespace) + len(key.layers) + ofDigest*len(list)
	})
}

// DecideVolume decides whether a namespace may use the files of a volume: it may if it may run an image with these
// files, called by its ID. What was admitted for these files before is judged first, in this namespace and then in
// others; then what the path says; then all other images, in the background if they are many.
func (d *Decider) DecideVolume(ctx context.Context, namespace string, volume Volume) (verdict Verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict = d.panicked(cause)
		}
	}()
	for _, first := range []func() []digest.Digest{
		func() []digest.Digest { return d.volumesOf(namespace, volume) },
		func() []digest.Digest { return d.volumesOf("", volume) },
		volume.Likely,
	} {
		if found, admitted := d.firstAdmitted(ctx, namespace, volume, first()); admitted {
			return found
		}
	}
	all := volume.All()
	switch {
	case len(all) == 0:
		return Denial(refuse(UnknownOrigin, "no image on this node has these layers"))
	case len(all) > maxVolumeImages && d.sources.Start != nil:
		return d.volumeLater(namespace, volume)
	}
	found, _ := d.firstAdmitted(ctx, namespace, volume, all)
	return found
}

// firstAdmitted returns the verdict on the first of some images that is admitted, or else that after which a retry is
// most likely to succeed.
func (d *Decider) firstAdmitted(
	ctx context.Context, namespace string, volume Volume, configs []digest.Digest,
) (verdict Verdict, admitted bool) {
	for i, config := range configs {
		if slices.Contains(configs[:i], config) {
			continue
		}
		found := d.Decide(ctx, volumeQuestion(namespace, config))
		if found.Admitted() {
			d.rememberVolume(namespace, volume, config)
			return found, true
		}
		verdict = verdict.Or(found)
	}
	return verdict, false
}

// volumeQuestion asks about an image as if the pod had named it by its ID: a mount shows its files, and not what the
// author of the pod wrote.
func volumeQuestion(namespace string, config digest.Digest) Question {
	return Question{Namespace: namespace, Reference: config.String(), Config: config}
}

// volumesOf returns the images that were admitted for the files of a volume.
func (d *Decider) volumesOf(namespace string, volume Volume) []digest.Digest {
	list, _ := d.volumes.get(volumeKey{namespace, volume.Layers})
	return list
}

// rememberVolume remembers an image that was admitted for the files of a volume, the latest first.
func (d *Decider) rememberVolume(namespace string, volume Volume, config digest.Digest) {
	for _, key := range []volumeKey{{namespace, volume.Layers}, {"", volume.Layers}} {
		before, _ := d.volumes.get(key)
		if len(before) > 0 && before[0] == config {
			continue
		}
		list := slices.DeleteFunc(slices.Clone(before), func(other digest.Digest) bool { return other == config })
		list = slices.Insert(list, 0, config)
		d.volumes.put(key, list[:min(len(list), maxPerVolume)])
	}
}

// volumeLater has all images with the layers of a volume judged in the background.
func (d *Decider) volumeLater(namespace string, volume Volume) Verdict {
	document, err := d.sources.Documents().For(namespace)
	if err != nil {
		return Denial(err)
	}
	return d.decideLater(laterJob{
		key:      Question{Namespace: namespace, Reference: volume.Layers},
		document: document,
		detail:   "more images on this node have the layers " + volume.Layers + " than can be judged at once",
		decide: func(ctx context.Context) Verdict {
			return d.decideAll(ctx, namespace, volume, document)
		},
	})
}

// decideAll judges all images with the layers of a volume, first those of which evidence is stored.
func (d *Decider) decideAll(ctx context.Context, namespace string, volume Volume, document *Document) (denied Verdict) {
	all, pacer, unknown := volume.All(), &Pacer{}, 0
	for _, onlyStored := range []bool{true, false} {
		for _, config := range all {
			pacer.Pause(ctx)
			if ctx.Err() != nil || unknown >= MaxManifests {
				return denied.Or(Verdict{Reason: Pending, Detail: "signatures of other images are being looked for"})
			}
			q := volumeQuestion(namespace, config)
			decision := d.decision(q, document, nil)
			decision.paced = pacer
			if onlyStored && !decision.hasStored(ctx) {
				continue
			}
			generations := d.generations()
			found := decision.audited(ctx)
			if found.verdict.Admitted() {
				d.remember(q, document, generations, found)
				d.rememberVolume(namespace, volume, config)
				return found.verdict
			}
			unknown += decision.unknown
			denied = denied.Or(found.verdict)
		}
	}
	return denied
}

// hasStored reports whether evidence is stored of the image in question, under one of its references.
func (d *decision) hasStored(ctx context.Context) bool {
	if d.sources.Stored == nil {
		return false
	}
	image, err := d.image(ctx, d.question)
	if err == nil && image.Rest != nil {
		image, err = image.Rest(ctx)
	}
	if err != nil {
		return false
	}
	for _, ref := range image.PulledAs {
		for _, manifest := range image.Manifests {
			d.paced.Pause(ctx)
			if slices.Contains(manifest.Repositories, ref.Name()) && len(d.stored(ctx, []Manifest{manifest}, ref)) > 0 {
				return true
			}
		}
	}
	return false
}
