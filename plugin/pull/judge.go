package pull

import (
	"context"
	"errors"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/policy"
)

// JudgeReference returns the verdict for all namespaces that follows from the reference alone, without evidence.
func (g *Gate) JudgeReference(ctx context.Context, ref reference.Named) policy.Verdict {
	return g.decide(ctx, pull{ref: ref}, nil)
}

// Judge returns whether any document could admit the image. It uses the evidence on this node first, and fetches from
// the image's registry if that is not enough. It writes no audit record.
func (g *Gate) Judge(ctx context.Context, ref reference.Named, target digest.Digest) policy.Verdict {
	return g.judge(ctx, pull{ref: ref, Request: Request{Target: target}})
}

// pull is a request with its normalised reference.
type pull struct {
	Request
	ref reference.Named
	// audited reports whether requirements that are only audited count as if they were enforced.
	audited bool
}

func (p pull) question() policy.PullQuestion {
	return policy.PullQuestion{Reference: p.ref, Namespace: p.Namespace, Audited: p.audited}
}

// decide judges an image by what this node stores.
func (g *Gate) decide(ctx context.Context, p pull, image *policy.Image) policy.Verdict {
	q := p.question()
	q.Image, q.NoIdentity = image, g.config.NoIdentity(p.Namespace)
	return g.config.Decide(ctx, q)
}

func (g *Gate) judge(ctx context.Context, p pull) policy.Verdict {
	if !g.config.RequiresSignature(p.question()) {
		// The verdict depends on no manifest, and nothing is requested from the registry.
		return g.decide(ctx, p, nil)
	}
	source := g.config.Registry(p.reader())
	if p.Resolve {
		var err error
		if p.Target, err = source.Resolve(ctx, p.ref); err != nil {
			return Undetermined(err)
		}
		if _, digested := p.ref.(reference.Digested); !digested {
			g.access.add(p)
		}
	}
	image := g.config.FindImage(ctx, p.Target, p.ref)
	if image != nil && p.Namespace != "" {
		if verdict, ok := g.knownTo(ctx, p, image); ok {
			return verdict
		}
		image = nil
	}
	if image == nil {
		var err error
		if image, err = source.Image(ctx, p.ref, p.Target); err != nil {
			return Undetermined(err)
		}
		g.access.add(p)
	}
	return g.judgeImage(ctx, p, image)
}

// judgeImage judges an image whose manifests are known.
func (g *Gate) judgeImage(ctx context.Context, p pull, image *policy.Image) policy.Verdict {
	stored := g.config.Lookup(image.Manifests, p.ref)
	verdict := g.decide(ctx, p, image)
	// One document may admit the image without a signature that another document requires.
	if verdict.Admitted() && (p.Namespace != "" || slices.ContainsFunc(stored, isFound)) {
		return verdict
	}
	verdict = g.fetchAndDecide(ctx, p, image, nil)
	if !Final(verdict) {
		return verdict
	}
	// Other manifests of the same configuration may be on this node and signed, under other tags of the repository: a
	// container may be created from any of them.
	local, err := g.config.Image(ctx, policy.Question{Reference: p.ref.String(), Config: image.Config})
	switch {
	case err == nil && local.Rest != nil:
		return Undetermined(policy.Refuse(policy.Pending,
			"image %s has more manifests on this node than can be judged during a pull", image.Config))
	case err == nil:
		return g.fetchAndDecide(ctx, p, local, image.Manifests)
	case policy.Denial(err).Reason == policy.UnknownOrigin:
		return verdict
	default:
		return Undetermined(err)
	}
}

// fetchAndDecide decides after it has fetched the evidence of all manifests, except those whose evidence was fetched
// just before. If evidence could not be fetched, the image might be admitted with it, so the verdict is undetermined.
func (g *Gate) fetchAndDecide(
	ctx context.Context, p pull, image *policy.Image, fetched []policy.Manifest,
) policy.Verdict {
	missing := slices.DeleteFunc(slices.Clone(fetch.Limit(image.Manifests)), func(manifest policy.Manifest) bool {
		same := func(other policy.Manifest) bool { return other.Digest == manifest.Digest }
		return slices.ContainsFunc(fetched, same)
	})
	failures := g.config.Fetch(p.Credentials).All(ctx, missing, p.ref, nil)
	verdict := g.decide(ctx, p, image)
	if failure := errors.Join(failures...); failure != nil && !verdict.Admitted() {
		return Undetermined(failure)
	}
	return verdict
}
