package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/store"
)

// manifestsFunc returns the manifests of the image with a reference.
type manifestsFunc func(context.Context, reference.Named) ([]policy.Manifest, error)

// fromNode finds an image on this node.
func fromNode(config *conf.Config) manifestsFunc {
	return func(ctx context.Context, ref reference.Named) ([]policy.Manifest, error) {
		return onNode(ctx, config, ref)
	}
}

// selection selects evidence by manifest and repository. An empty field selects all.
type selection struct {
	repository string
	manifests  []digest.Digest
}

// selectionOf parses an argument: a digest or a reference. A name without tag and digest selects a whole repository; a
// name with a tag selects the manifests of the image that has it on this node.
func selectionOf(ctx context.Context, argument string, manifests manifestsFunc) (selection, error) {
	if d, err := digest.Parse(argument); err == nil {
		return selection{manifests: []digest.Digest{d}}, nil
	}
	named, err := reference.ParseNormalizedNamed(argument)
	if err != nil {
		return selection{}, fmt.Errorf("%q is not a reference or a digest: %w", argument, err)
	}
	s := selection{repository: named.Name()}
	if reference.IsNameOnly(named) {
		return s, nil
	}
	ref, err := policy.Normalize(argument)
	if err != nil {
		return selection{}, err
	}
	found, err := manifests(ctx, ref)
	canonical, digested := ref.(reference.Canonical)
	if err != nil && !digested {
		return selection{}, fmt.Errorf("cannot determine which image %s is (%w); "+
			"name it by digest, or omit the tag to select the whole repository", argument, err)
	}
	if digested {
		// The manifests that an index lists are known only if the index is on this node.
		s.manifests = append(s.manifests, canonical.Digest())
	}
	for _, manifest := range found {
		s.manifests = append(s.manifests, manifest.Digest)
	}
	return s, nil
}

// fetchable returns an argument in the form that fetch needs, with the image and its repository.
func fetchable(argument string) string {
	if d, err := digest.Parse(argument); err == nil {
		return "REPOSITORY@" + d.String()
	}
	if named, err := reference.ParseNormalizedNamed(argument); err == nil && reference.IsNameOnly(named) {
		return argument + ":TAG"
	}
	return argument
}

func (s selection) has(stored store.Info) bool {
	return (s.repository == "" || s.repository == stored.Repository) &&
		(s.manifests == nil || slices.Contains(s.manifests, stored.Manifest))
}

// pick returns the stored evidence that the arguments select, in the store's order; without arguments it returns all.
// An argument that selects nothing is an error.
func pick(
	ctx context.Context, stored []store.Info, arguments []string, manifests manifestsFunc,
) ([]store.Info, error) {
	if len(arguments) == 0 {
		return stored, nil
	}
	picked := make([]bool, len(stored))
	for _, argument := range arguments {
		s, err := selectionOf(ctx, argument, manifests)
		if err != nil {
			return nil, err
		}
		any := false
		for i := range stored {
			if s.has(stored[i]) {
				picked[i], any = true, true
			}
		}
		if !any {
			return nil, fmt.Errorf("no evidence of %s is stored; fetch it with: countersign evidence fetch %s",
				argument, fetchable(argument))
		}
	}
	var found []store.Info
	for i := range stored {
		if picked[i] {
			found = append(found, stored[i])
		}
	}
	return found, nil
}
