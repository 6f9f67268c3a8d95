package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
)

// attacker puts images on a node that have something in common with a signed one, as pulls would, but without their
// layers.
type attacker struct {
	containerd *client.Client
	// manifest and config are those of the signed image.
	manifest v1.Manifest
	config   v1.Image
	signed   v1.Descriptor
	wide     []v1.Descriptor
}

func newAttacker(ctx context.Context, containerd *client.Client, signed node.Pushed) (*attacker, error) {
	a := &attacker{containerd: containerd}
	a.signed = v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: signed.Digest}
	info, err := containerd.ContentStore().Info(ctx, signed.Digest)
	if err != nil {
		return nil, fmt.Errorf("reading the signed image: %w", err)
	}
	a.signed.Size = info.Size
	if err := a.read(ctx, signed.Digest, &a.manifest); err != nil {
		return nil, err
	}
	if err := a.read(ctx, a.manifest.Config.Digest, &a.config); err != nil {
		return nil, err
	}
	for i := range 9_900 {
		a.wide = append(a.wide, v1.Descriptor{
			MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint("absent ", i)), Size: 500,
			Platform:    &v1.Platform{OS: "linux", Architecture: "s390x"},
			Annotations: map[string]string{"padding": strings.Repeat("x", 200)},
		})
	}
	return a, nil
}

func (a *attacker) read(ctx context.Context, blob digest.Digest, into any) error {
	raw, err := content.ReadBlob(ctx, a.containerd.ContentStore(), v1.Descriptor{Digest: blob})
	if err != nil {
		return fmt.Errorf("reading the signed image: %w", err)
	}
	return json.Unmarshal(raw, into)
}

// add adds the i-th image. As during a pull, a lease keeps containerd from removing its parts until it has a name.
func (a *attacker) add(ctx context.Context, i int) (err error) {
	ctx, release, err := a.containerd.WithLease(ctx)
	if err != nil {
		return fmt.Errorf("adding an image: %w", err)
	}
	defer func() { closing(&err, func() error { return release(ctx) }) }()
	target, err := a.make(ctx, i)
	if err != nil {
		return err
	}
	image := images.Image{Name: a.name(i), Target: target}
	if _, err = a.containerd.ImageService().Create(ctx, image); errdefs.IsAlreadyExists(err) {
		// An image that is pulled again.
		_, err = a.containerd.ImageService().Update(ctx, image)
	}
	if err != nil {
		return fmt.Errorf("naming an image: %w", err)
	}
	return nil
}

// name returns the name of the i-th image.
func (a *attacker) name(i int) string { return fmt.Sprintf("aaa%d.example/team/app-%d:v1", i%20, i) }

// make writes the manifests of the i-th image. One in a hundred is a wide index.
func (a *attacker) make(ctx context.Context, i int) (v1.Descriptor, error) {
	config, manifest := a.config, a.manifest
	manifest.Annotations = map[string]string{"number": fmt.Sprint(i)}
	switch {
	case i%100 == 0:
		return a.index(ctx, i, append([]v1.Descriptor{a.signed}, a.wide...))
	case i%4 == 0:
		return a.index(ctx, i, []v1.Descriptor{a.signed})
	case i%4 == 1:
		// Another manifest of the same config.
		return a.write(ctx, manifest)
	case i%4 == 2:
		// The same layers with another entrypoint.
		config.Config.Entrypoint = []string{fmt.Sprint("/evil-", i)}
	default:
		config.RootFS.DiffIDs = []digest.Digest{digest.FromString(fmt.Sprint(i))}
	}
	described, err := write(ctx, a.containerd.ContentStore(), v1.MediaTypeImageConfig, config, nil)
	if err != nil {
		return described, err
	}
	manifest.Config = described
	return a.write(ctx, manifest)
}

func (a *attacker) write(ctx context.Context, manifest v1.Manifest) (v1.Descriptor, error) {
	labels := map[string]string{"containerd.io/gc.ref.content.config": manifest.Config.Digest.String()}
	return write(ctx, a.containerd.ContentStore(), v1.MediaTypeImageManifest, manifest, labels)
}

func (a *attacker) index(ctx context.Context, i int, children []v1.Descriptor) (v1.Descriptor, error) {
	index := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: children,
		Annotations: map[string]string{"number": fmt.Sprint(i)},
	}
	labels := map[string]string{"containerd.io/gc.ref.content.m.0": a.signed.Digest.String()}
	return write(ctx, a.containerd.ContentStore(), v1.MediaTypeImageIndex, index, labels)
}

// keepAdding adds images at a constant rate until the context ends, and pulls each tenth again. It returns how many.
func (a *attacker) keepAdding(ctx context.Context, from int) (added int) {
	ticker := time.NewTicker(time.Second / hostilePulls)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return added
		case <-ticker.C:
		}
		which := from + added
		if added%10 == 9 {
			which = (added * 100) % max(from, 1) // A wide index.
		}
		if a.add(ctx, which) == nil {
			added++
		}
	}
}
