package nri

import (
	"context"

	"github.com/containerd/nri/pkg/api"
)

// Review is what happens to the containers that run when the plugin registers.
func (h *Handler) Review(ctx context.Context, running []ContainerInfo) {
	(&session{Plugin: &Plugin{}}).auditRunning(ctx, h, running)
}

// ValidateToTheEnd answers containerd's questions, one after the other, waits for what follows from them, and returns
// the first refusal.
func (h *Handler) ValidateToTheEnd(ctx context.Context, requests ...*api.ValidateContainerAdjustmentRequest) error {
	s := &session{Plugin: &Plugin{Handler: h}, background: ctx}
	defer s.running.Wait()
	for _, request := range requests {
		if err := s.ValidateContainerAdjustment(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// AskAfterTheEnd asks a question in a conversation that is over, and reports whether it was passed on.
func AskAfterTheEnd(ctx context.Context) (passed bool, err error) {
	e := newConnTracker()
	e.close()
	_, err = e.handle(ctx, nil, nil, func(context.Context, func(any) error) (any, error) {
		passed = true
		return nil, nil //nolint:nilnil // It answers nothing.
	})
	return passed, err
}
