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

// sandboxTimeout limits one check of the sandbox image. No request waits for it.
const sandboxTimeout = 30 * time.Second

// sandboxDebounce combines several changes of policies.
const sandboxDebounce = time.Second

// sandboxImage checks in advance whether a pull of the sandbox (pause) image would be refused, because then no pod
// would start. NRI does not validate sandboxes, so this image is evaluated only when it is pulled.
type sandboxImage struct {
	// awaitImages waits until all images on this node are known.
	awaitImages func(context.Context)
	// target returns the digest that containerd has under a name, or false; resolve requests it from the registry.
	target  func(context.Context, string) (digest.Digest, bool)
	resolve func(context.Context, reference.Named) (digest.Digest, error)
	// judge and judgeReference are methods of [pull.Gate].
	judge          func(context.Context, reference.Named, digest.Digest) policy.Verdict
	judgeReference func(context.Context, reference.Named) policy.Verdict
	// audit reports whether some namespace is in audit mode; in that case no pull is refused.
	audit func() bool
	// report receives whether a pull of the image would be allowed, and the cause.
	report func(status metrics.Status, cause string)
	// panicked is called for each panic, after which the result is unknown. It may be nil.
	panicked policy.PanicFunc
	log      *slog.Logger
	// changed notifies of changes that require another check, such as changed policies.
	changed notifier

	mu sync.Mutex
	// image is the reference in containerd's configuration; empty: not known yet.
	image string
	// lastLogged is what was last logged for this image. The same result is not logged again.
	lastLogged string
}

// configured sets the image in containerd's configuration, and requests a check. It does not block.
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
		err := policy.Guard("evaluating the sandbox image", s.panicked, func() error {
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
		s.report(metrics.No, detail+"; allowed while a namespace is in audit mode")
		log.WarnContext(ctx, "no policy admits the sandbox image: outside of audit mode no pod would start",
			attributes...)
	case pull.Final(verdict):
		s.report(metrics.No, detail+"; add a scope for it to a policy")
		log.ErrorContext(ctx, "no policy admits the sandbox image: if it has to be pulled, no pod starts; "+
			"add a scope for it to a policy", attributes...)
	default:
		s.report(metrics.Unknown, detail)
		log.WarnContext(ctx, "cannot determine whether a policy admits the sandbox image", attributes...)
	}
}

// logged reports whether a verdict is the last one that was logged, and records it.
func (s *sandboxImage) logged(detail string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.lastLogged == detail
	s.lastLogged = detail
	return same
}
