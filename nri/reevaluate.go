package nri

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Running containers whose verdict is pending are evaluated again after a pause, because evidence is fetched meanwhile.
// The first pauses are short, because the daemon reads containerd's images within a second of its start.
const (
	auditRounds   = 8
	minAuditPause = 500 * time.Millisecond
	maxAuditPause = 5 * time.Second
)

// maxWaiting limits the containers that wait to be evaluated again.
const maxWaiting = 256

// runningFunc evaluates and reports a running container, and reports whether it has to be evaluated again.
type runningFunc func(context.Context, ContainerInfo) (again bool)

// reevaluateLater evaluates a container again that audit mode admitted while its verdict was pending. The kubelet
// retries only what is refused. By then the container may have exited and its root filesystem been removed, so that is
// not verified a second time.
func (s *session) reevaluateLater(info ContainerInfo, report Report) {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return
	}
	handler := *s.Handler
	if report.configs != nil {
		handler.Content = func(context.Context, policy.Container) ([]digest.Digest, error) { return report.configs, nil }
	}
	s.running.Go(func() {
		defer s.waiting.Add(-1)
		if pause(s.background, maxAuditPause) {
			s.auditRunning(s.background, []ContainerInfo{info}, handler.runningByReport)
		}
	})
}

// runningByReport evaluates a container by the image that the runtime reports.
func (h *Handler) runningByReport(ctx context.Context, info ContainerInfo) (again bool) {
	report, more := h.evaluate(ctx, info, Running, h.decide)
	h.report(ctx, report, more)
	return report.Verdict.Reason == policy.Pending
}

// runningReported is [Handler.runningByReport] for a container that may be removed meanwhile, with its root filesystem.
// Then it is not reported.
func (h *Handler) runningReported(ctx context.Context, info ContainerInfo) (again bool) {
	report, more := h.evaluate(ctx, info, Running, h.decide)
	if report.Verdict.Reason == policy.UnknownOrigin {
		if _, err := h.Record(ctx, info.ID); isGone(err) {
			return false
		}
	}
	h.report(ctx, report, more)
	return report.Verdict.Reason == policy.Pending
}

// runningByRecord evaluates a container by the images in the runtime's record. A container that was removed is not
// reported.
func (h *Handler) runningByRecord(ctx context.Context, info ContainerInfo) (again bool) {
	info.FoundBy = policy.FoundByConfig
	report, more := h.evaluate(ctx, info, Running, h.byRecord(nil))
	if more.gone {
		return false
	}
	h.report(ctx, report, more)
	return report.Verdict.Reason == policy.Pending
}

// pause waits before the next round. It returns false if the context ends first.
func pause(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return true
	}
}

// Reevaluate evaluates running containers by the runtime's record of them, and passes each verdict to report instead of
// the handler's.
func (p *Plugin) Reevaluate(ctx context.Context, running []ContainerInfo, report func(context.Context, Report)) {
	handler := *p.Handler
	handler.Report = report
	p.auditRunning(ctx, running, handler.runningByRecord)
}

// Preview is [Plugin.Reevaluate] with the verdicts of another decider, as if no namespace were in audit mode.
func (p *Plugin) Preview(
	ctx context.Context, running []ContainerInfo, by *policy.Decider, report func(context.Context, Report),
) {
	handler := *p.Handler
	handler.Decide, handler.DecideVolume, handler.Report = by.Decide, by.DecideVolume, report
	handler.Audit = func(string) bool { return false }
	p.auditRunning(ctx, running, handler.runningByRecord)
}

// auditRunning evaluates running containers one after the other, and reports the verdicts.
func (p *Plugin) auditRunning(ctx context.Context, running []ContainerInfo, evaluate runningFunc) {
	length := minAuditPause
	for round := 1; len(running) > 0; round++ {
		var pending []ContainerInfo
		for _, info := range running {
			if ctx.Err() != nil {
				return
			}
			_ = policy.Guard("evaluating a running container", p.Panicked, func() error {
				if evaluate(ctx, info) {
					pending = append(pending, info)
				}
				return nil
			})
		}
		if running = pending; round == auditRounds || len(running) > 0 && !pause(ctx, length) {
			return
		}
		length = min(2*length, maxAuditPause)
	}
}
