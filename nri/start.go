package nri

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/countersign/countersign/policy"
)

// StartContainer implements [stub.StartContainerInterface]. It is subscribed to only on runtimes that report no images
// when they create a container: their record names the exact image at this time. If the answer is late, the runtime
// starts the container, so this is only a second check.
func (s *session) StartContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	err := policy.Guard("a start", s.Panicked, func() error {
		info := NewContainerInfo(pod, container)
		undecided, err := s.Handler.start(ctx, info, s.validated.take(info.ID))
		if undecided {
			s.running.Go(func() { s.auditRunning(s.background, []ContainerInfo{info}, s.Handler.runningByRecord) })
		}
		return err
	})
	if panicked := (*policy.PanicError)(nil); errors.As(err, &panicked) {
		return nil // A failure is not a verdict. The validation has admitted the container.
	}
	return err
}

// The start waits for a final verdict for maxStartWait, and asks again after pauses that double.
const (
	maxStartWait = 200 * time.Millisecond
	minStartWait = 5 * time.Millisecond
)

// untilFinal decides again while the verdict is not final: after a restart, the daemon confirms within milliseconds
// what it knows about an image, and a container that is started before that cannot be refused any more.
func untilFinal(decide decideFunc) decideFunc {
	return func(ctx context.Context, info ContainerInfo) (policy.Verdict, details) {
		waiting, cancel := context.WithTimeout(ctx, maxStartWait)
		defer cancel()
		for wait := minStartWait; ; wait *= 2 {
			verdict, more := decide(ctx, info)
			if verdict.Admitted() || verdict.Reason.Final() || !pause(waiting, wait) {
				return verdict, more
			}
		}
	}
}

// start returns an error if the recorded image is definitely not accepted. A pending verdict does not refuse: the
// validation has admitted the container, and the kubelet counts a refusal here as a crash.
func (h *Handler) start(ctx context.Context, info ContainerInfo, validated *validation) (undecided bool, err error) {
	if validated != nil && validated.denied && h.Audit(info.Namespace) {
		return false, nil // It was reported when it was validated.
	}
	info.FoundBy = policy.FoundByConfig
	report, more := h.evaluate(ctx, info, Start, untilFinal(h.byRecord(validated)))
	if report.Verdict.Admitted() {
		return false, nil
	}
	if !report.Verdict.Reason.Final() {
		return true, nil
	}
	if validated != nil && validated.denied && report.Audit {
		return false, nil // As above, by a policy in audit mode.
	}
	h.report(ctx, report, more)
	if report.Audit {
		return false, nil
	}
	return false, errors.New(Message(report))
}

func isGone(err error) bool { return errors.Is(err, policy.ErrNoContainer) }
