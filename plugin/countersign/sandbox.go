package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// sandboxTimeout bounds how long it may take to judge the sandbox image; nobody waits for it.
const sandboxTimeout = 30 * time.Second

// sandboxSettle lets several changes of policies be one.
const sandboxSettle = time.Second

// sandbox looks ahead whether a pull of the sandbox (pause) image would be refused, for then not one pod starts. It
// is no container, so nothing asks about it when it is created.
type sandbox struct {
	// read waits until it is known which images are on this node.
	read func(context.Context)
	// here returns the digest that containerd has under a name, and false where it has none; resolve asks the registry.
	here    func(context.Context, string) (digest.Digest, bool)
	resolve func(context.Context, reference.Named) (digest.Digest, error)
	// judge is that of [pulls], and accept the part of it that needs nothing but the reference.
	judge  func(context.Context, reference.Named, digest.Digest) policy.Verdict
	accept func(context.Context, reference.Named) policy.Verdict
	// auditing says that some namespace is in audit mode, so that no pull is refused.
	auditing func() bool
	// found is told whether a pull of it is admitted, and the cause.
	found func(status metrics.Status, cause string)
	// panicked is told of panics, after which it is unknown whether a pull would be refused. It may be nil.
	panicked policy.PanicFunc
	log      *slog.Logger
	// again rings when it is to look again: policies changed, say.
	again bell

	mu sync.Mutex
	// image is the reference that containerd is configured with, as written there; empty: not known yet.
	image string
	// said is what was logged since, which is not logged again because some policy changed.
	said string
}

// configured tells it the image that containerd is configured with, and has it looked at. It does not wait.
func (s *sandbox) configured(image string) {
	s.mu.Lock()
	s.image, s.said = image, ""
	s.mu.Unlock()
	s.again.ring()
}

// run looks whenever it is told to, until the context ends.
func (s *sandbox) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.again:
			pause(ctx, sandboxSettle)
		}
		s.mu.Lock()
		image := s.image
		s.mu.Unlock()
		if image == "" {
			continue
		}
		var verdict policy.Verdict
		err := policy.Guard("judging the sandbox image", s.panicked, func() error {
			verdict = s.verdict(ctx, image)
			return nil
		})
		if err != nil {
			verdict = policy.Denial(err)
		}
		if ctx.Err() != nil {
			return
		}
		s.tell(ctx, image, verdict)
	}
}

func (s *sandbox) verdict(ctx context.Context, image string) policy.Verdict {
	ctx, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	ref, err := policy.Normalize(image)
	if err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "%v", err))
	}
	if verdict := s.accept(ctx, ref); verdict.Admitted() {
		return verdict
	}
	s.read(ctx)
	target, found := s.here(ctx, ref.String())
	if !found {
		if target, err = s.resolve(ctx, ref); err != nil {
			return unknown(err)
		}
	}
	return s.judge(ctx, ref, target)
}

// tell says it where an operator looks: loudly where every pod will fail.
func (s *sandbox) tell(ctx context.Context, image string, verdict policy.Verdict) {
	attributes := []any{
		"image", image, "reason", string(verdict.Reason),
		"document", verdict.Document, "scope", verdict.Scope, "detail", verdict.Detail,
	}
	detail := fmt.Sprintf("%s is %s: %s", image, verdict.Reason, verdict.Detail)
	log := s.log
	if s.saidAlready(detail) {
		log = slog.New(slog.DiscardHandler)
	}
	switch {
	case verdict.Admitted():
		s.found(metrics.Yes, image)
		log.InfoContext(ctx, "a policy admits the sandbox image", attributes...)
	case final(verdict) && s.auditing():
		s.found(metrics.No, detail+"; admitted while a namespace is in audit mode")
		log.WarnContext(ctx, "no policy admits the sandbox image: outside of audit mode no pod would start",
			attributes...)
	case final(verdict):
		s.found(metrics.No, detail+"; give it a scope of its own in a policy")
		log.ErrorContext(ctx, "no policy admits the sandbox image: where it has to be pulled, no pod will start; "+
			"give it a scope of its own in a policy", attributes...)
	default:
		s.found(metrics.Unknown, detail)
		log.WarnContext(ctx, "it is not known whether a policy admits the sandbox image", attributes...)
	}
}

func (s *sandbox) saidAlready(detail string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	already := s.said == detail
	s.said = detail
	return already
}
