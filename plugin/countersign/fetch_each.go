package main

import (
	"context"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// fetchFunc looks for the evidence of one manifest now, as an [evidence.Keeper] does.
type fetchFunc func(context.Context, digest.Digest, reference.Named) error

// each looks for the evidence of several manifests of one image at the same time, and returns for each why that
// failed.
func (fetch fetchFunc) each(ctx context.Context, manifests []policy.Manifest, ref reference.Named) []error {
	failures := make([]error, len(manifests))
	var all sync.WaitGroup
	for i, manifest := range manifests {
		all.Go(func() {
			failures[i] = policy.Guard("fetching evidence", nil, func() error { return fetch.finish(ctx, manifest.Digest, ref) })
		})
	}
	all.Wait()
	return failures
}

// finish looks for the evidence of a manifest until all of it was read, where time is set for that: each try goes on
// where the one before ended. One that comes no further is the last.
func (fetch fetchFunc) finish(ctx context.Context, manifest digest.Digest, ref reference.Named) error {
	before, last := 0, error(nil)
	for {
		err := fetch(ctx, manifest, ref)
		if ctx.Err() != nil && last != nil {
			return last
		}
		read, _, unfinished := evidence.Unfinished(err)
		_, bounded := ctx.Deadline()
		if !unfinished || !bounded || read <= before {
			return err
		}
		before, last = read, err
	}
}

// fetchPatience is how long the registry is asked for the evidence of one image by hand, unless a flag says otherwise.
const fetchPatience = time.Minute

// first returns those manifests of an image of which evidence is fetched: as many as a decision looks at.
func first(manifests []policy.Manifest) []policy.Manifest {
	return manifests[:min(len(manifests), policy.MaxManifests)]
}
