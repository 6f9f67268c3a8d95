package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// CopyReferrers copies all referrers of a manifest, including its bundles, to another repository of the registry. If
// the registry has no referrers API, it lists them under the fallback tag.
func (r *Registry) CopyReferrers(ctx context.Context, image Pushed, repository string) error {
	source, err := name.NewDigest(image.ByDigest(), name.Insecure)
	if err != nil {
		return fmt.Errorf("copying referrers of %s: %w", image.ByDigest(), err)
	}
	target, err := name.NewRepository(r.Host+"/"+repository, name.Insecure)
	if err != nil {
		return fmt.Errorf("copying referrers of %s: %w", image.ByDigest(), err)
	}
	found, err := remote.Referrers(source, r.options(ctx)...)
	if err != nil {
		return fmt.Errorf("copying referrers of %s: %w", image.ByDigest(), err)
	}
	list, err := found.IndexManifest()
	if err != nil {
		return fmt.Errorf("copying referrers of %s: %w", image.ByDigest(), err)
	}
	if len(list.Manifests) == 0 {
		return fmt.Errorf("copying referrers of %s: %w", image.ByDigest(), errNone)
	}
	for _, descriptor := range list.Manifests {
		if err := r.copyReferrer(ctx, source.Context(), target, descriptor.Digest); err != nil {
			return fmt.Errorf("copying referrers of %s: %w", image.ByDigest(), err)
		}
	}
	return nil
}

var errNone = errors.New("there are none")

func (r *Registry) copyReferrer(ctx context.Context, from, to name.Repository, manifest v1.Hash) error {
	referrer, err := remote.Image(from.Digest(manifest.String()), r.options(ctx)...)
	if err != nil {
		return err
	}
	return remote.Write(to.Digest(manifest.String()), referrer, r.options(ctx)...)
}
