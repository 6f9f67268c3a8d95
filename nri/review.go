package nri

import (
	"context"
	"time"

	"github.com/countersign/countersign/policy"
)

// Of what runs already, that which is pending is looked at again after a while, for evidence has to be fetched first.
const (
	reviewRounds = 6
	reviewPause  = 5 * time.Second
)

// review judges what already runs, one container after the other.
func (s *session) review(ctx context.Context, running []Creation) {
	for round := 1; len(running) > 0; round++ {
		var pending []Creation
		for _, creation := range running {
			if ctx.Err() != nil {
				return
			}
			report := s.Handler.judge(ctx, creation, Running)
			if report.Verdict.Reason == policy.Pending {
				pending = append(pending, creation)
			}
		}
		if running = pending; round == reviewRounds {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(reviewPause):
		}
	}
}
