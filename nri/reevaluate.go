package nri

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Running containers whose verdict is pending are evaluated again after a pause, because evidence is fetched meanwhile.
const (
	auditRounds = 6
	auditPause  = 5 * time.Second
)

// maxWaiting bounds how many containers wait to be evaluated again.
const maxWaiting = 256

// reevaluateLater evaluates a container again that audit mode admitted while its verdict was pending. The kubelet
// retries only what is refused. By then the container may have exited and its root filesystem been removed, so that is
// not verified a second time.
func (s *session) reevaluateLater(report Report) {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return
	}
	handler := *s.Handler
	if report.rootfsVerified {
		handler.Content = func(_ context.Context, container policy.Container) ([]digest.Digest, error) {
			return []digest.Digest{container.Config}, nil
		}
	}
	s.running.Go(func() {
		defer s.waiting.Add(-1)
		if pause(s.background) {
			s.auditRunning(s.background, &handler, []ContainerInfo{report.ContainerInfo})
		}
	})
}

// pause waits before the next round, and reports whether it was not cut short.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(auditPause):
		return true
	}
}

// auditRunning evaluates running containers one after the other, and reports the verdicts.
func (s *session) auditRunning(ctx context.Context, handler *Handler, running []ContainerInfo) {
	for round := 1; len(running) > 0; round++ {
		var pending []ContainerInfo
		for _, info := range running {
			if ctx.Err() != nil {
				return
			}
			_ = policy.Guard("evaluating a running container", s.Panicked, func() error {
				if handler.evaluate(ctx, info, Running).Verdict.Reason == policy.Pending {
					pending = append(pending, info)
				}
				return nil
			})
		}
		if running = pending; round == auditRounds || len(running) > 0 && !pause(ctx) {
			return
		}
	}
}
