package nri

import (
	"context"
	"errors"

	"github.com/containerd/nri/pkg/api"

	"github.com/countersign/countersign/policy"
)

// StartContainer implements [stub.StartContainerInterface]. Only runtimes that report no images when they create a
// container are asked for it: at this time their record names the image exactly. A runtime starts a container without
// the answer if it is late, so this is a second check and not the decision.
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
		return nil // A failure is no verdict. The validation has admitted the container.
	}
	return err
}

// start returns an error if the image on record is certainly not one that the container may run. What is undecided is
// not refused: the validation has admitted the container, and the kubelet counts what is refused here as a crash.
func (h *Handler) start(ctx context.Context, info ContainerInfo, validated *validation) (undecided bool, err error) {
	if validated != nil && validated.denied && h.Audit(info.Namespace) {
		return false, nil // It was reported when it was validated.
	}
	info.FoundBy = policy.FoundByConfig
	report, more := h.evaluate(ctx, info, Start, h.byRecord(validated))
	if report.Verdict.Admitted() {
		return false, nil
	}
	if !report.Verdict.Reason.Final() {
		return true, nil
	}
	h.report(ctx, report, more)
	if report.Audit {
		return false, nil
	}
	return false, errors.New(message(report))
}

func isGone(err error) bool { return errors.Is(err, policy.ErrNoContainer) }
