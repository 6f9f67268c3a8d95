package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// manifestsFunc returns the manifests of the image that a reference stands for.
type manifestsFunc func(context.Context, reference.Named) ([]policy.Manifest, error)

// fromNode looks for an image on this node.
func fromNode(config *conf.Config) manifestsFunc {
	return func(ctx context.Context, ref reference.Named) ([]policy.Manifest, error) {
		return onNode(ctx, config, ref)
	}
}

// selection says of which manifests in which repository evidence is meant. What is empty is not limited.
type selection struct {
	repository string
	manifests  []digest.Digest
}

// selectionOf reads an argument: a digest, or a reference. A name with neither tag nor digest is all of a repository,
// and a tag stands for the manifests of an image on this node.
func selectionOf(ctx context.Context, argument string, manifests manifestsFunc) (selection, error) {
	if d, err := digest.Parse(argument); err == nil {
		return selection{manifests: []digest.Digest{d}}, nil
	}
	named, err := reference.ParseNormalizedNamed(argument)
	if err != nil {
		return selection{}, fmt.Errorf("%q is neither a reference nor a digest: %w", argument, err)
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
		return selection{}, fmt.Errorf("which image %s is cannot be found out (%w); "+
			"name it by digest, or without its tag for all of the repository", argument, err)
	}
	if digested {
		// What an index lists is only known where it is here.
		s.manifests = append(s.manifests, canonical.Digest())
	}
	for _, manifest := range found {
		s.manifests = append(s.manifests, manifest.Digest)
	}
	return s, nil
}

// fetchable is an argument as fetch takes it, which has to know which image of which repository is meant.
func fetchable(argument string) string {
	if d, err := digest.Parse(argument); err == nil {
		return "REPOSITORY@" + d.String()
	}
	if named, err := reference.ParseNormalizedNamed(argument); err == nil && reference.IsNameOnly(named) {
		return argument + ":TAG"
	}
	return argument
}

func (s selection) has(stored evidence.Stored) bool {
	return (s.repository == "" || s.repository == stored.Repository) &&
		(s.manifests == nil || slices.Contains(s.manifests, stored.Manifest))
}

// pick returns what arguments stand for, all of it where there are none, in its order. An argument that stands for
// nothing is an error.
func pick(
	ctx context.Context, stored []evidence.Stored, arguments []string, manifests manifestsFunc,
) ([]evidence.Stored, error) {
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
			return nil, fmt.Errorf("nothing is kept of %s; fetch it with: countersign evidence fetch %s",
				argument, fetchable(argument))
		}
	}
	var found []evidence.Stored
	for i := range stored {
		if picked[i] {
			found = append(found, stored[i])
		}
	}
	return found, nil
}
