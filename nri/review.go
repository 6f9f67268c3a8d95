package nri

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Of what runs already, that which is pending is looked at again after a while, for evidence has to be fetched first.
const (
	reviewRounds = 6
	reviewPause  = 5 * time.Second
)

// maxSettling bounds how many containers wait to be judged that were let in without a verdict.
const maxSettling = 256

// settle has a container judged again that audit mode let in while nothing was known yet: nobody asks about it a second
// time, as the kubelet does where it is refused. By then it may have come to its end, and its root filesystem be gone,
// which is not compared again.
func (s *session) settle(report Report) {
	if s.settling.Add(1) > maxSettling {
		s.settling.Add(-1)
		return
	}
	handler := *s.Handler
	if report.compared {
		handler.Content = func(_ context.Context, container policy.Container) ([]digest.Digest, error) {
			return []digest.Digest{container.Config}, nil
		}
	}
	s.running.Go(func() {
		defer s.settling.Add(-1)
		if pause(s.background) {
			s.review(s.background, &handler, []Creation{report.Creation})
		}
	})
}

// pause waits for what is pending, and reports whether it did to the end.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(reviewPause):
		return true
	}
}

// review judges what already runs, one container after the other.
func (s *session) review(ctx context.Context, handler *Handler, running []Creation) {
	for round := 1; len(running) > 0; round++ {
		var pending []Creation
		for _, creation := range running {
			if ctx.Err() != nil {
				return
			}
			_ = policy.Guard("judging a running container", s.Panicked, func() error {
				if handler.judge(ctx, creation, Running).Verdict.Reason == policy.Pending {
					pending = append(pending, creation)
				}
				return nil
			})
		}
		if running = pending; round == reviewRounds || len(running) > 0 && !pause(ctx) {
			return
		}
	}
}
