package nri

import "context"

// Review is what happens to the containers that run when the plugin registers.
func (h *Handler) Review(ctx context.Context, running []Creation) {
	(&session{Plugin: &Plugin{Handler: h}}).review(ctx, running)
}
