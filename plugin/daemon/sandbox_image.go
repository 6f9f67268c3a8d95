package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy"
)

// sandboxTimeout bounds one check of the sandbox image. No request waits for it.
const sandboxTimeout = 30 * time.Second

// sandboxDebounce joins several changes of policies.
const sandboxDebounce = time.Second

// sandboxImage checks in advance whether a pull of the sandbox (pause) image would be refused, after which no pod would
// start. NRI validates no sandbox, so that nothing else decides about this image.
type sandboxImage struct {
	// awaitImages waits until it is known which images are on this node.
	awaitImages func(context.Context)
	// target returns the digest that containerd has under a name, and false if it has none; resolve requests it from the
	// registry.
	target  func(context.Context, string) (digest.Digest, bool)
	resolve func(context.Context, reference.Named) (digest.Digest, error)
	// judge and judgeReference are those of a [pull.Gate].
	judge          func(context.Context, reference.Named, digest.Digest) policy.Verdict
	judgeReference func(context.Context, reference.Named) policy.Verdict
	// audit reports whether some namespace is in audit mode, in which case no pull is refused.
	audit func() bool
	// report receives whether a pull of the image is allowed, and the cause.
	report func(status metrics.Status, cause string)
	// panicked is called for each panic, after which it is unknown whether a pull would be refused. It may be nil.
	panicked policy.PanicFunc
	log      *slog.Logger
	// changed notifies of changes that require another check: of policies, for example.
	changed notifier

	mu sync.Mutex
	// image is the reference as containerd is configured with it; empty: not known yet.
	image string
	// lastLogged is what was logged for this image. It is not logged again when a change leaves it the same.
	lastLogged string
}

// configured sets the image that containerd is configured with, and has it checked. It does not wait.
func (s *sandboxImage) configured(image string) {
	s.mu.Lock()
	s.image, s.lastLogged = image, ""
	s.mu.Unlock()
	s.changed.notify()
}

// run checks the image after each change, until the context ends.
func (s *sandboxImage) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			pause(ctx, sandboxDebounce)
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
		s.reportVerdict(ctx, image, verdict)
	}
}

func (s *sandboxImage) verdict(ctx context.Context, image string) policy.Verdict {
	ctx, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	ref, err := policy.Normalize(image)
	if err != nil {
		return policy.Denial(policy.Refuse(policy.BadRequest, "%v", err))
	}
	if verdict := s.judgeReference(ctx, ref); verdict.Admitted() {
		return verdict
	}
	s.awaitImages(ctx)
	target, found := s.target(ctx, ref.String())
	if !found {
		if target, err = s.resolve(ctx, ref); err != nil {
			return pull.Undetermined(err)
		}
	}
	return s.judge(ctx, ref, target)
}

// reportVerdict reports and logs a verdict, as an error if no pod will start.
func (s *sandboxImage) reportVerdict(ctx context.Context, image string, verdict policy.Verdict) {
	attributes := []any{
		"image", image, "reason", string(verdict.Reason),
		"document", verdict.Document, "scope", verdict.Scope, "detail", verdict.Detail,
	}
	detail := fmt.Sprintf("%s is %s: %s", image, verdict.Reason, verdict.Detail)
	log := s.log
	if s.logged(detail) {
		log = slog.New(slog.DiscardHandler)
	}
	switch {
	case verdict.Admitted():
		s.report(metrics.Yes, image)
		log.InfoContext(ctx, "a policy admits the sandbox image", attributes...)
	case pull.Final(verdict) && s.audit():
		s.report(metrics.No, detail+"; admitted while a namespace is in audit mode")
		log.WarnContext(ctx, "no policy admits the sandbox image: outside of audit mode no pod would start",
			attributes...)
	case pull.Final(verdict):
		s.report(metrics.No, detail+"; give it a scope of its own in a policy")
		log.ErrorContext(ctx, "no policy admits the sandbox image: where it has to be pulled, no pod will start; "+
			"give it a scope of its own in a policy", attributes...)
	default:
		s.report(metrics.Unknown, detail)
		log.WarnContext(ctx, "it is unknown whether a policy admits the sandbox image", attributes...)
	}
}

// logged reports whether a verdict is the one that was logged last, and remembers it.
func (s *sandboxImage) logged(detail string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.lastLogged == detail
	s.lastLogged = detail
	return same
}
