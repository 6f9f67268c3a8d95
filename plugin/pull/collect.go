package pull

import (
	"context"

	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/policy"
)

// collect fetches the evidence of an image that a namespace pulls without needing it, if another namespace of this node
// does. The kubelet does not pull an image again for a pod that has the same credentials, and the node itself may have
// none: what is not fetched now could never be fetched. The answer to the pull is given before. The credentials are
// used until the deadline of the pull's decision.
func (g *Gate) collect(ctx context.Context, p pull) {
	deadline, ok := ctx.Deadline()
	if !ok || p.Namespace == "" || p.Credentials == nil {
		return
	}
	own := policy.PullQuestion{Reference: p.ref, Namespace: p.Namespace, Audited: true}
	everywhere := policy.PullQuestion{Reference: p.ref, Audited: true}
	if g.config.RequiresSignature(own) || !g.config.RequiresSignature(everywhere) {
		return
	}
	// The caller's context ends with its decision.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	_ = policy.Guard("fetching evidence for other namespaces", g.config.Panicked, func() error {
		return g.fetchMissing(ctx, p)
	})
}

// fetchMissing fetches the evidence of those manifests of an image of which none is stored. Nobody reads its error: a
// decision that lacks evidence starts a fetch of the node's own, and reports what prevents it.
func (g *Gate) fetchMissing(ctx context.Context, p pull) error {
	source := g.config.Registry(p.reader())
	if p.Resolve {
		var err error
		if p.Target, err = source.Resolve(ctx, p.ref); err != nil {
			return err
		}
	}
	image := g.config.FindImage(ctx, p.Target, p.ref)
	if image == nil {
		var err error
		if image, err = source.Image(ctx, p.ref, p.Target); err != nil {
			return err
		}
	}
	manifests := fetch.Limit(image.Manifests)
	var missing []policy.Manifest
	for i, evidence := range g.config.Lookup(manifests, p.ref) {
		if !isFound(evidence) {
			missing = append(missing, manifests[i])
		}
	}
	g.config.Fetch(p.Credentials).All(ctx, missing, p.ref, nil)
	return nil
}
