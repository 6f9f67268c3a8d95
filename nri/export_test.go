package nri

import (
	"context"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/countersign/countersign/policy"
)

// NextBackoff returns how long to wait after the next failure.
func NextBackoff(backoff time.Duration, failed error) time.Duration {
	return nextBackoff(backoff, failed)
}

// Review evaluates the containers that run when the plugin registers.
func (h *Handler) Review(ctx context.Context, running []ContainerInfo) {
	(&session{Plugin: &Plugin{}}).auditRunning(ctx, running, h.runningReported)
}

// ReviewRecords is the same for a runtime that reports no images.
func (h *Handler) ReviewRecords(ctx context.Context, running []ContainerInfo) {
	(&session{Plugin: &Plugin{}}).auditRunning(ctx, running, h.runningByRecord)
}

// Evaluate decides about a container, and InTime does so without a check for traces.
func (h *Handler) Evaluate(ctx context.Context, info ContainerInfo) {
	h.evaluate(ctx, info, Create, h.decide)
}

// InTime is described at Evaluate.
func (h *Handler) InTime(ctx context.Context, info ContainerInfo) {
	h.inTime(ctx, info, Create, h.decide)
}

// WithoutImages answers the questions of a runtime that reports no images.
type WithoutImages struct{ session session }

// NewWithoutImages returns a registration with such a runtime.
func NewWithoutImages(ctx context.Context, handler *Handler) *WithoutImages {
	plugin := &Plugin{Handler: handler, Panicked: func(*policy.PanicError) {}}
	runtime := Runtime{Name: "containerd", Version: "2.3.7", FoundBy: policy.FoundByLayers}
	return &WithoutImages{session{Plugin: plugin, background: ctx, runtime: runtime}}
}

// Validate asks for a validation.
func (w *WithoutImages) Validate(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	return w.session.ValidateContainerAdjustment(ctx, &api.ValidateContainerAdjustmentRequest{
		Pod: pod, Container: container,
	})
}

// Start asks for a start, and waits for what follows from it.
func (w *WithoutImages) Start(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	defer w.session.running.Wait()
	return w.session.StartContainer(ctx, pod, container)
}

// Validations counts the containers that wait to be started.
func (w *WithoutImages) Validations() int { return len(w.session.validated.byID) }

// ValidateToTheEnd answers containerd's questions, one after the other, waits for what follows from them, and returns
// the first refusal.
func (h *Handler) ValidateToTheEnd(ctx context.Context, requests ...*api.ValidateContainerAdjustmentRequest) error {
	s := &session{Plugin: &Plugin{Handler: h}, background: ctx, runtime: Runtime{FoundBy: policy.FoundByConfig}}
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
