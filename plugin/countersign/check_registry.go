package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
)

// registryFetch is how signatures are fetched from a registry.
type registryFetch struct {
	// progress is called while a registry needs more than one attempt; it may be nil.
	progress fetch.ProgressFunc
	// predicates returns the predicate types of the attestations that are fetched of images of a repository.
	predicates func(reference.Named) policy.Predicates
}

// openRegistry fetches an image and its signatures from the registry, as the node would, and stores them for the time
// of one check. The node's own store is neither read nor changed.
func openRegistry(
	ctx context.Context, config *conf.Config, ref string, how registryFetch,
) (*source, error) {
	named, err := policy.Normalize(ref)
	if err != nil {
		return nil, policy.Refuse(policy.BadRequest, "%v", err)
	}
	reached := daemon.Registries(config, nil)
	target, err := reached.Resolve(ctx, named)
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "%v", err)
	}
	image, err := reached.Image(ctx, named, target)
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "%v", err)
	}
	store, err := openPassing(reached, how.predicates)
	if err != nil {
		return nil, err
	}
	// A failure needs no handling here: the store records it.
	_ = fetch.Func(store.Fetch).All(ctx, fetch.Limit(image.Manifests), named, how.progress)
	return carriedSource(image, store.Lookup, store.end), nil
}

// passing is a Keeper with a temporary directory, for one check.
type passing struct {
	*evidence.Keeper
	directory string
}

// passingSize limits what is stored for one check, in bytes.
const passingSize = 1 << 30

func openPassing(
	reached *evidencefetch.Fetcher, predicates func(reference.Named) policy.Predicates,
) (*passing, error) {
	directory, err := os.MkdirTemp("", "countersign-check-")
	if err != nil {
		return nil, fmt.Errorf("storing signatures: %w", err)
	}
	keeper, err := evidence.Open(evidence.Config{
		Directory: directory, MaxSize: passingSize, Exclusive: true, Fetcher: reached,
		Predicates: predicates,
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	return &passing{keeper, directory}, nil
}

// end removes the temporary directory.
func (p *passing) end() {
	p.Close()
	_ = os.RemoveAll(p.directory)
}
