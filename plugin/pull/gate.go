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
	"github.com/countersign/countersign/policy/registry"
)

// Config contains what a [Gate] needs. All fields except Trace and Panicked are required. A namespace is that of a pod
// in Kubernetes; an empty one stands for all namespaces of this node together.
type Config struct {
	// RequiresSignature and Decide are methods of a [policy.Decider]: whether the document of the namespace, or some
	// document, requires a signature, and whether it could admit the image.
	RequiresSignature func(namespace string, ref reference.Named) bool
	Decide            func(context.Context, policy.PullQuestion) policy.Verdict
	// FindImage returns an image on this node by the digest of its manifest or index, or nil.
	FindImage func(context.Context, digest.Digest, reference.Named) *policy.Image
	// Image returns the manifests that this node has of an image, by its config digest.
	Image policy.ImageFunc
	// Registry reads images from their registries with these credentials only, or with the node's if they are nil. Fetch
	// fetches the evidence of one manifest with these credentials, or else with the node's.
	Registry func(registry.CredentialFunc) fetch.Registry
	Fetch    func(registry.CredentialFunc) fetch.Func
	// Lookup returns the evidence that this node stores.
	Lookup policy.LookupFunc
	// Named reports whether a policy document names a registry in a scope.
	Named func(registry string) bool
	// Report receives the record of each decision. It must not block.
	Report func(audit.Pull)
	// Audit reports whether the namespace, or some namespace, is in audit mode, and NoIdentity whether it accepts
	// signatures that name no repository: the gate must not refuse what one namespace admits.
	Audit, NoIdentity func(namespace string) bool
	// Trace is called at the beginning of each decision, and the function that it returns at the end. The context that it
	// returns is passed to the other functions, of which some may continue after the end. Trace may be nil.
	Trace func(context.Context, Request) (context.Context, func(audit.Pull))
	// Panicked is called for each panic. A panic never refuses a pull.
	Panicked policy.PanicFunc
}

// Gate decides about each image when only its top manifest or index has been downloaded. It refuses an image only if no
// document of this node could admit it under its name. If the verdict cannot be determined in time, the pull is
// allowed: the policy is enforced when a container is created.
type Gate struct {
	config  Config
	limiter limiter
	access  *access
	// deciding counts the decisions in progress, including those whose caller no longer waits. They end with their
	// contexts.
	deciding sync.WaitGroup
}

// NewGate returns a gate that decides with these parts.
func NewGate(config Config) *Gate { return &Gate{config: config, access: newAccess()} }

// Request asks whether an image may be pulled.
type Request struct {
	// Reference is the reference of the image, as the client wrote it.
	Reference string
	// Target is the digest of the manifest or index that the reference resolves to. With Resolve, it is not known yet and
	// the gate resolves the reference.
	Target  digest.Digest
	Resolve bool
	// Namespace and Pod name the pod that needs the image. An empty namespace asks for all namespaces of this node.
	Namespace, Pod string
	// Credentials are those of the request, or nil. They serve this request only.
	Credentials registry.CredentialFunc
}

// Decide decides within the context's deadline, and returns the record of the decision, which it also reports. Only a
// record whose outcome is not [policy.Admit] refuses the pull.
func (g *Gate) Decide(ctx context.Context, request Request) audit.Pull {
	if g.config.Trace == nil {
		return g.answer(ctx, request)
	}
	ctx, end := g.config.Trace(ctx, request)
	record := g.answer(ctx, request)
	end(record)
	return record
}

func (g *Gate) answer(ctx context.Context, request Request) audit.Pull {
	record := audit.Pull{
		Time: time.Now(), Name: request.Reference, Digest: request.Target.String(),
		Namespace: request.Namespace, Pod: request.Pod,
		Outcome: policy.Admit, Mode: audit.Enforce,
	}
	auditing := g.config.Audit(request.Namespace)
	if auditing {
		record.Mode = audit.Audit
	}
	record.Verdict = g.verdict(ctx, request)
	if record.Final() && !auditing {
		record.Outcome = policy.Deny
	}
	record.Took = time.Since(record.Time)
	g.config.Report(record)
	return record
}

// Wait waits until no decision is in progress.
func (g *Gate) Wait() { g.deciding.Wait() }

// verdict decides about a request. A decision that hangs or panics does not refuse the pull.
func (g *Gate) verdict(ctx context.Context, request Request) policy.Verdict {
	ref, err := policy.Normalize(request.Reference)
	if err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "%v", err))
	}
	if err := request.Target.Validate(); !request.Resolve && err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "digest %q: %v", request.Target, err))
	}
	host := reference.Domain(ref)
	named := g.config.Named(host)
	if !g.limiter.acquire(host, named) {
		return policy.Denial(policy.Refuse(policy.Pending, "too many other pulls are waiting for an answer"))
	}
	p, decided := pull{Request: request, ref: ref}, make(chan policy.Verdict, 1)
	g.deciding.Go(func() {
		defer g.limiter.release(host, named)
		var verdict policy.Verdict
		err := policy.Guard("a decision on a pull", g.config.Panicked, func() error {
			verdict = g.judge(ctx, p)
			return nil
		})
		if err != nil {
			verdict = policy.Denial(policy.Refuse(policy.Internal, "%v", err))
		}
		decided <- verdict
		g.collect(ctx, p)
	})
	select {
	case verdict := <-decided:
		return verdict
	case <-ctx.Done():
		return policy.Denial(policy.Refuse(policy.Pending, "no decision in time: %v", ctx.Err()))
	}
}

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
}

// decide judges an image by what this node stores.
func (g *Gate) decide(ctx context.Context, p pull, image *policy.Image) policy.Verdict {
	return g.config.Decide(ctx, policy.PullQuestion{
		Reference: p.ref, Namespace: p.Namespace, Image: image, NoIdentity: g.config.NoIdentity(p.Namespace),
	})
}

func (g *Gate) judge(ctx context.Context, p pull) policy.Verdict {
	if !g.config.RequiresSignature(p.Namespace, p.ref) {
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
