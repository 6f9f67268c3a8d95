package pull

import (
	"context"
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
	// RequiresSignature, Audits and Decide are methods of a [policy.Decider]: whether the document of the namespace, or
	// some document, requires a signature, whether it has requirements that are only audited, and whether it could admit
	// the image.
	RequiresSignature, Audits func(policy.PullQuestion) bool
	Decide                    func(context.Context, policy.PullQuestion) policy.Verdict
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
	record = audited(record)
	record.Took = time.Since(record.Time)
	g.config.Report(record)
	return record
}

// audited makes a record of what enforcing every requirement would refuse, as of a namespace in audit mode. The pull is
// admitted.
func audited(record audit.Pull) audit.Pull {
	would := record.Verdict.WouldDeny
	if !record.Verdict.Admitted() || would == nil {
		return record
	}
	made := record
	made.Verdict, made.Mode = *would, audit.Audit
	if !made.Final() {
		return record
	}
	return made
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
	p := pull{Request: request, ref: ref}
	enforced, decided := make(chan policy.Verdict, 1), make(chan policy.Verdict, 1)
	g.deciding.Go(func() {
		defer g.limiter.release(host, named)
		// A decision that panics is an answer; nothing waits for the rest.
		_ = policy.Guard("answering a pull", g.config.Panicked, func() error {
			verdict := g.guarded(ctx, p)
			enforced <- verdict
			verdict.WouldDeny = g.wouldDeny(ctx, p, verdict)
			decided <- verdict
			g.collect(ctx, p)
			return nil
		})
	})
	select {
	case verdict := <-decided:
		return verdict
	case <-ctx.Done():
	}
	select {
	case verdict := <-enforced:
		return verdict
	default:
		return policy.Denial(policy.Refuse(policy.Pending, "no decision in time: %v", ctx.Err()))
	}
}

// guarded is judge, without its panics.
func (g *Gate) guarded(ctx context.Context, p pull) (verdict policy.Verdict) {
	err := policy.Guard("a decision on a pull", g.config.Panicked, func() error {
		verdict = g.judge(ctx, p)
		return nil
	})
	if err != nil {
		return policy.Denial(policy.Refuse(policy.Internal, "%v", err))
	}
	return verdict
}

// wouldDeny returns the verdict if every requirement were enforced, where that one denies and the actual one admits.
func (g *Gate) wouldDeny(ctx context.Context, p pull, actual policy.Verdict) *policy.Verdict {
	if !actual.Admitted() || !g.config.Audits(p.question()) {
		return nil
	}
	p.audited = true
	if would := g.guarded(ctx, p); !would.Admitted() {
		return &would
	}
	return nil
}
