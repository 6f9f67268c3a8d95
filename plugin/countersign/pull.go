package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// pulls answer containerd's image verifier, which asks about each image before anything of it is downloaded but its
// top manifest or index. An image is refused if no document of this node could admit it under its name. Whatever
// cannot be found out in time admits, for a container is decided on when it is created.
type pulls struct {
	// asks and decide are those of a [policy.Decider]: is a signature asked for, and could any document admit it.
	asks   func(reference.Named) bool
	decide func(context.Context, reference.Named, *policy.Image, bool) policy.Verdict
	// find returns an image that is on this node already, by its manifest or index, or nil.
	find func(context.Context, digest.Digest, reference.Named) *policy.Image
	// known finds what is on this node of an image, by its config digest.
	known policy.ImageFunc
	// read reads an image's manifests from its registry.
	read func(context.Context, reference.Named, digest.Digest) (*policy.Image, error)
	// kept is what this node keeps of evidence, and fetch looks for the evidence of one manifest now.
	kept  policy.KeptFunc
	fetch fetchFunc
	// panicked is told of panics, which are no verdict that refuses. It may be nil.
	panicked policy.PanicFunc
	// report is given each answer, and does not wait.
	report func(audit.Pull)

	// timeout is how long the verifier waits, if it does not say.
	timeout func() time.Duration
	// auditing says that some namespace is in audit mode, and nameless that one takes signatures which name no
	// repository: what a namespace admits nobody may refuse to have pulled.
	auditing, nameless func() bool
	places             places
	// deciding are the decisions under way, some of which were not waited for. They end with their contexts.
	deciding sync.WaitGroup
}

// answer is an endpoint of the daemon's socket. It answers in time, and with a refusal only where that is certain.
func (p *pulls) answer(ctx context.Context, request socket.PullRequest) (socket.PullAnswer, error) {
	pull := audit.Pull{
		Time: time.Now(), Name: request.Name, Digest: request.Digest, Outcome: policy.Admit, Mode: audit.Enforce,
	}
	auditing := p.auditing()
	if auditing {
		pull.Mode = audit.Audit
	}
	ctx, cancel := context.WithTimeout(ctx, p.within(request.Within))
	defer cancel()
	pull.Verdict = p.verdict(ctx, request)
	if final(pull.Verdict) && !auditing {
		pull.Outcome = policy.Deny
	}
	pull.Took = time.Since(pull.Time)
	p.report(pull)
	return answerOf(pull), nil
}

// within is how long an answer may take: less than it is waited for. The verifier has to start, and the answer to
// travel, on a node that may be busy; an answer that comes too late is none, and then the pull may be refused.
func (p *pulls) within(waits int64) time.Duration {
	timeout := p.timeout()
	if waits > 0 && waits < timeout.Milliseconds() {
		timeout = time.Duration(waits) * time.Millisecond
	}
	return timeout - min(timeout/4, time.Second)
}

// final reports whether a verdict refuses the pull: no other try would end in another way. With any other reason one
// document or another may well admit the image by the time a container is created of it.
func final(verdict policy.Verdict) bool {
	return !verdict.Admitted() && (verdict.Reason == policy.Rejected || verdict.Reason == policy.Unsigned)
}

// verdict decides on what is asked for. What hangs, or panics, is no verdict that refuses.
func (p *pulls) verdict(ctx context.Context, request socket.PullRequest) policy.Verdict {
	ref, err := policy.Normalize(request.Name)
	if err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "%v", err))
	}
	target := digest.Digest(request.Digest)
	if err := target.Validate(); err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "digest %q: %v", request.Digest, err))
	}
	host := reference.Domain(ref)
	if !p.places.take(host) {
		return policy.Denial(policy.Refuse(policy.Pending, "too many other pulls are waiting for an answer"))
	}
	decided := make(chan policy.Verdict, 1)
	p.deciding.Go(func() {
		defer p.places.free(host)
		var verdict policy.Verdict
		err := policy.Guard("a decision on a pull", p.panicked, func() error {
			verdict = p.judge(ctx, ref, target)
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

// judge says whether any document could admit the image: with what this node has, and if that does not suffice with
// what its registry has.
func (p *pulls) judge(ctx context.Context, ref reference.Named, target digest.Digest) policy.Verdict {
	if !p.asks(ref) {
		// Nothing depends on its manifests, and nothing is asked of its registry.
		return p.decide(ctx, ref, nil, p.nameless())
	}
	image := p.find(ctx, target, ref)
	if image == nil {
		var err error
		if image, err = p.read(ctx, ref, target); err != nil {
			return unknown(err)
		}
	}
	kept := p.kept(image.Manifests, ref)
	verdict := p.decide(ctx, ref, image, p.nameless())
	// One document may be content without a signature that another will ask for.
	if verdict.Admitted() && slices.ContainsFunc(kept, isFound) {
		return verdict
	}
	verdict = p.fetched(ctx, ref, image, nil)
	if !final(verdict) {
		return verdict
	}
	// Other manifests of the same configuration may be here and signed, under other tags of the repository: a container
	// may be created by any of them.
	here, err := p.known(ctx, policy.Question{Reference: ref.String(), Config: image.Config})
	switch {
	case err == nil:
		return p.fetched(ctx, ref, here, image.Manifests)
	case policy.Denial(err).Reason == policy.UnknownOrigin:
		return verdict
	default:
		return unknown(err)
	}
}

func isFound(evidence policy.Evidence) bool { return evidence.State == policy.Found }

// fetched decides once evidence of all manifests was asked for, but of those for which it was asked just now. What
// could not be asked for may be what would admit.
func (p *pulls) fetched(
	ctx context.Context, ref reference.Named, image *policy.Image, asked []policy.Manifest,
) policy.Verdict {
	lacking := slices.DeleteFunc(slices.Clone(first(image.Manifests)), func(manifest policy.Manifest) bool {
		same := func(other policy.Manifest) bool { return other.Digest == manifest.Digest }
		return slices.ContainsFunc(asked, same)
	})
	failures := p.fetch.each(ctx, lacking, ref, nil)
	verdict := p.decide(ctx, ref, image, p.nameless())
	if failure := errors.Join(failures...); failure != nil && !verdict.Admitted() {
		return unknown(failure)
	}
	return verdict
}

// unknown is the verdict where something could not be found out.
func unknown(err error) policy.Verdict {
	if refusal := (*policy.Refusal)(nil); errors.As(err, &refusal) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) {
		return policy.Denial(err)
	}
	return policy.Denial(policy.Refuse(policy.Unavailable, "%v", err))
}
