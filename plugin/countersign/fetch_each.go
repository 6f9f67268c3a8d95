package main

import (
	"context"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
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
			failures[i] = policy.Guard("fetching evidence", nil, func() error { return fetch(ctx, manifest.Digest, ref) })
		})
	}
	all.Wait()
	return failures
}

// first returns those manifests of an image of which evidence is fetched: as many as a decision looks at.
func first(manifests []policy.Manifest) []policy.Manifest {
	return manifests[:min(len(manifests), policy.MaxManifests)]
}
