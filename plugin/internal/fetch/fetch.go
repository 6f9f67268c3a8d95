package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
)

// Func fetches the evidence of one manifest now, as the keeper of package evidence does.
type Func func(context.Context, digest.Digest, reference.Named) error

// ProgressFunc receives how many referrers of a manifest are read so far, of how many. Several goroutines may call
// it at the same time.
type ProgressFunc func(read, of int)

// All fetches the evidence of several manifests of one image at the same time, and returns one error for each manifest.
// It calls progress, which may be nil, after each attempt that another one continues.
func (fetch Func) All(
	ctx context.Context, manifests []policy.Manifest, ref reference.Named, progress ProgressFunc,
) []error {
	failures := make([]error, len(manifests))
	var all sync.WaitGroup
	for i, manifest := range manifests {
		all.Go(func() {
			failures[i] = policy.Guard("fetching evidence", nil, func() error {
				return fetch.complete(ctx, manifest.Digest, ref, progress)
			})
		})
	}
	all.Wait()
	return failures
}

// complete fetches the evidence of a manifest until all of it is read, if the context has a deadline: each attempt
// continues where the one before it ended. An attempt that makes no progress is the last.
func (fetch Func) complete(
	ctx context.Context, manifest digest.Digest, ref reference.Named, progress ProgressFunc,
) error {
	before, last := 0, error(nil)
	for {
		err := fetch(ctx, manifest, ref)
		if ctx.Err() != nil && last != nil {
			return last
		}
		unfinished, ok := errors.AsType[*evidencefetch.UnfinishedError](err)
		_, bounded := ctx.Deadline()
		if !ok || !bounded || unfinished.Read <= before {
			return err
		}
		before, last = unfinished.Read, err
		if progress != nil {
			progress(unfinished.Read, unfinished.Of)
		}
	}
}

// Limit returns those manifests of an image whose evidence is fetched: as many as a decision evaluates.
func Limit(manifests []policy.Manifest) []policy.Manifest {
	return manifests[:min(len(manifests), policy.MaxManifests)]
}

// Registry reads images from their registries, with an [evidencefetch.Fetcher].
type Registry struct {
	Resolve func(context.Context, reference.Named) (digest.Digest, error)
	Image   func(context.Context, reference.Named, digest.Digest) (*policy.Image, error)
}

// Manifests returns the manifests that a registry has of an image for this node's platform.
func (r Registry) Manifests(ctx context.Context, ref reference.Named) ([]policy.Manifest, error) {
	target, err := r.Resolve(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("finding %s in its registry: %w", ref, err)
	}
	image, err := r.Image(ctx, ref, target)
	if err != nil {
		return nil, fmt.Errorf("reading %s from its registry: %w", ref, err)
	}
	return image.Manifests, nil
}
