package nri

import (
	"context"

	"github.com/containerd/nri/pkg/api"
)

// Review is what happens to the containers that run when the plugin registers.
func (h *Handler) Review(ctx context.Context, running []Creation) {
	(&session{Plugin: &Plugin{}}).review(ctx, h, running)
}

// ValidateToTheEnd answers one question of containerd's, and waits for what follows from it.
func (h *Handler) ValidateToTheEnd(ctx context.Context, request *api.ValidateContainerAdjustmentRequest) error {
	s := &session{Plugin: &Plugin{Handler: h}, background: ctx}
	defer s.running.Wait()
	return s.ValidateContainerAdjustment(ctx, request)
}
