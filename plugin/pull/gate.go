package pull

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/policy"
)

// Config contains what a [Gate] needs. All fields except Panicked are required.
type Config struct {
	// RequiresSignature and Decide are methods of a [policy.Decider]: whether some document requires a signature, and
	// whether any document could admit the image.
	RequiresSignature func(reference.Named) bool
	Decide            func(context.Context, reference.Named, *policy.Image, bool) policy.Verdict
	// FindImage returns an image on this node by the digest of its manifest or index, or nil.
	FindImage func(context.Context, digest.Digest, reference.Named) *policy.Image
	// Image returns the manifests that this node has of an image, by its config digest.
	Image policy.ImageFunc
	// ReadImage reads the manifests of an image from its registry.
	ReadImage func(context.Context, reference.Named, digest.Digest) (*policy.Image, error)
	// Lookup returns the evidence that this node stores. Fetch fetches the evidence of one manifest now.
	Lookup policy.LookupFunc
	Fetch  fetch.Func
	// Named reports whether a policy document names a registry in a scope.
	Named func(registry string) bool
	// Report receives the record of each decision. It must not block.
	Report func(audit.Pull)
	// AuditAnywhere reports whether some namespace is in audit mode, and NoIdentityAnywhere whether one accepts signatures
	// that name no repository: the gate must not refuse what one namespace admits.
	AuditAnywhere, NoIdentityAnywhere func() bool
	// Panicked is called for each panic. A panic never refuses a pull.
	Panicked policy.PanicFunc
}

// Gate decides about each image when only its top manifest or index has been downloaded. It refuses an image only if no
// document of this node could admit it under its name. If the verdict cannot be determined in time, the pull is
// allowed: the policy is enforced when a container is created.
type Gate struct {
	config  Config
	limiter limiter
	// deciding counts the decisions in progress, including those whose caller no longer waits. They end with their
	// contexts.
	deciding sync.WaitGroup
}

// NewGate returns a gate that decides with these parts.
func NewGate(config Config) *Gate { return &Gate{config: config} }

// Request asks whether an image may be pulled, for any namespace of this node.
type Request struct {
	// Reference is the reference of the image, as the client wrote it.
	Reference string
	// Target is the digest of the manifest or index that the reference resolves to.
	Target digest.Digest
}

// Decide decides within the context's deadline, and returns the record of the decision, which it also reports. Only a
// record whose outcome is not [policy.Admit] refuses the pull.
func (g *Gate) Decide(ctx context.Context, request Request) audit.Pull {
	record := audit.Pull{
		Time: time.Now(), Name: request.Reference, Digest: request.Target.String(),
		Outcome: policy.Admit, Mode: audit.Enforce,
	}
	auditing := g.config.AuditAnywhere()
	if auditing {
		record.Mode = audit.Audit
	}
	record.Verdict = g.verdict(ctx, request)
	if Final(record.Verdict) && !auditing {
		record.Outcome = policy.Deny
	}
	record.Took = time.Since(record.Time)
	g.config.Report(record)
	return record
}

// Wait waits until no decision is in progress.
func (g *Gate) Wait() { g.deciding.Wait() }

// Final reports whether a verdict refuses the pull: a retry would have the same result. With any other reason some
// document may admit the image by the time a container is created.
func Final(verdict policy.Verdict) bool {
	return !verdict.Admitted() && (verdict.Reason == policy.Rejected || verdict.Reason == policy.Unsigned)
}

// verdict decides about a request. A decision that hangs or panics does not refuse the pull.
func (g *Gate) verdict(ctx context.Context, request Request) policy.Verdict {
	ref, err := policy.Normalize(request.Reference)
	if err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "%v", err))
	}
	if err := request.Target.Validate(); err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "digest %q: %v", request.Target, err))
	}
	host := reference.Domain(ref)
	named := g.config.Named(host)
	if !g.limiter.acquire(host, named) {
		return policy.Denial(policy.Refuse(policy.Pending, "too many other pulls are waiting for an answer"))
	}
	decided := make(chan policy.Verdict, 1)
	g.deciding.Go(func() {
		defer g.limiter.release(host, named)
		var verdict policy.Verdict
		err := policy.Guard("a decision on a pull", g.config.Panicked, func() error {
			verdict = g.Judge(ctx, ref, request.Target)
			return nil
		})
		if err != nil {
			verdict = policy.Denial(policy.Refuse(policy.Internal, "%v", err))
		}
		decided <- verdict
	})
	select {
	case verdict := <-decided:
		return verdict
	case <-ctx.Done():
		return policy.Denial(policy.Refuse(policy.Pending, "no decision in time: %v", ctx.Err()))
	}
}

// JudgeReference returns the verdict that follows from the reference alone, without evidence.
func (g *Gate) JudgeReference(ctx context.Context, ref reference.Named) policy.Verdict {
	return g.decide(ctx, ref, nil)
}

// decide evaluates an image with the evidence that this node stores.
func (g *Gate) decide(ctx context.Context, ref reference.Named, image *policy.Image) policy.Verdict {
	return g.config.Decide(ctx, ref, image, g.config.NoIdentityAnywhere())
}

// Judge returns whether any document could admit the image: with the evidence that this node stores and, if that does
// not suffice, with the evidence in the image's registry. It reports no record.
func (g *Gate) Judge(ctx context.Context, ref reference.Named, target digest.Digest) policy.Verdict {
	if !g.config.RequiresSignature(ref) {
		// The verdict depends on no manifest, and nothing is requested from the registry.
		return g.JudgeReference(ctx, ref)
	}
	image := g.config.FindImage(ctx, target, ref)
	if image == nil {
		var err error
		if image, err = g.config.ReadImage(ctx, ref, target); err != nil {
			return Undetermined(err)
		}
	}
	stored := g.config.Lookup(image.Manifests, ref)
	verdict := g.decide(ctx, ref, image)
	// One document may admit the image without a signature, and another document may require one.
	if verdict.Admitted() && slices.ContainsFunc(stored, isFound) {
		return verdict
	}
	verdict = g.fetchAndDecide(ctx, ref, image, nil)
	if !Final(verdict) {
		return verdict
	}
	// Other manifests with the same config may be on this node and signed, under other tags of the repository: a container
	// may be created from any of them.
	local, err := g.config.Image(ctx, policy.Question{Reference: ref.String(), Config: image.Config})
	switch {
	case err == nil:
		return g.fetchAndDecide(ctx, ref, local, image.Manifests)
	case policy.Denial(err).Reason == policy.UnknownOrigin:
		return verdict
	default:
		return Undetermined(err)
	}
}

func isFound(evidence policy.Evidence) bool { return evidence.State == policy.Found }

// fetchAndDecide decides after it has fetched the evidence of all manifests, except those whose evidence was fetched
// just before. If evidence could not be fetched, the image might be admitted with it, so the verdict is undetermined.
func (g *Gate) fetchAndDecide(
	ctx context.Context, ref reference.Named, image *policy.Image, fetched []policy.Manifest,
) policy.Verdict {
	missing := slices.DeleteFunc(slices.Clone(fetch.Limit(image.Manifests)), func(manifest policy.Manifest) bool {
		same := func(other policy.Manifest) bool { return other.Digest == manifest.Digest }
		return slices.ContainsFunc(fetched, same)
	})
	failures := g.config.Fetch.All(ctx, missing, ref, nil)
	verdict := g.decide(ctx, ref, image)
	if failure := errors.Join(failures...); failure != nil && !verdict.Admitted() {
		return Undetermined(failure)
	}
	return verdict
}

// Undetermined returns the verdict for an error that prevented a determination.
func Undetermined(err error) policy.Verdict {
	if refusal := (*policy.Refusal)(nil); errors.As(err, &refusal) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) {
		return policy.Denial(err)
	}
	return policy.Denial(policy.Refuse(policy.Unavailable, "%v", err))
}
