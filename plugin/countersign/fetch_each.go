package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// fetchFunc looks for the evidence of one manifest now, as an [evidence.Keeper] does.
type fetchFunc func(context.Context, digest.Digest, reference.Named) error

// progressFunc reports how many referrers of a manifest were read, of how many. Several goroutines call it.
type progressFunc func(read, of int)

// each fetches the evidence of several manifests of one image at the same time, and returns for each why that failed.
// The progress, which may be nil, is reported for what takes more than one fetch.
func (fetch fetchFunc) each(
	ctx context.Context, manifests []policy.Manifest, ref reference.Named, progress progressFunc,
) []error {
	failures := make([]error, len(manifests))
	var all sync.WaitGroup
	for i, manifest := range manifests {
		all.Go(func() {
			failures[i] = policy.Guard("fetching evidence", nil, func() error {
				return fetch.finish(ctx, manifest.Digest, ref, progress)
			})
		})
	}
	all.Wait()
	return failures
}

// finish fetches the evidence of a manifest until all of it is read, where the context has a deadline: each fetch
// continues where the one before ended. The first that reads nothing more is the last.
func (fetch fetchFunc) finish(
	ctx context.Context, manifest digest.Digest, ref reference.Named, progress progressFunc,
) error {
	before, last := 0, error(nil)
	for {
		err := fetch(ctx, manifest, ref)
		if ctx.Err() != nil && last != nil {
			return last
		}
		unfinished, ok := errors.AsType[*evidence.UnfinishedError](err)
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

// fetchPatience is how long the registry is asked for the evidence of one image by hand, unless a flag says otherwise.
const fetchPatience = time.Minute

// first returns those manifests of an image of which evidence is fetched: as many as a decision looks at.
func first(manifests []policy.Manifest) []policy.Manifest {
	return manifests[:min(len(manifests), policy.MaxManifests)]
}
