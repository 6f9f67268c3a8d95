package nri

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/countersign/countersign/policy"
)

// Name and Index are what the plugin registers under. The index orders it among others: validators all run, and none
// sees what another one thinks.
const (
	Name  = "countersign"
	Index = "10"
)

// Plugin stays registered with containerd's NRI and hands its questions to a [Handler].
type Plugin struct {
	// Socket is NRI's socket.
	Socket  string
	Handler *Handler
	Logger  *slog.Logger
	// Panicked is told of panics while a question is answered, which is then refused as [policy.Internal]. It may be nil.
	Panicked policy.PanicFunc
	// Registered is told nil whenever the plugin has been registered, and why it is not whenever a registration has
	// ended or an attempt has failed.
	Registered func(error)
	// Version asks containerd's own API for its version. It is asked where NRI cannot be reached, since a containerd
	// that is too old may have no NRI at all. Nil: it is not asked.
	Version func(context.Context) (string, error)
}

// session is one registration: what NRI's stub calls. It has the methods of the events it subscribes to and no
// others, which is how the stub finds out what to subscribe to.
type session struct {
	*Plugin
	exchange   *exchange
	background context.Context //nolint:containedctx // The session is the owner of what it starts, and ends it.
	running    sync.WaitGroup  // what runs already is being judged
	settling   atomic.Int32    // how many of these were let in without a verdict
	// What became of it. Written by what containerd asks, read when all that has been answered.
	configured, synchronized bool
	refused                  error
}

var (
	_ stub.ConfigureInterface                   = (*session)(nil)
	_ stub.SynchronizeInterface                 = (*session)(nil)
	_ stub.ValidateContainerAdjustmentInterface = (*session)(nil)
)

var errNotConfigured = errors.New("the connection was lost before the registration was complete")

// Configure implements [stub.ConfigureInterface]. An error makes containerd drop the plugin.
func (s *session) Configure(_ context.Context, _, runtime, version string) (api.EventMask, error) {
	if s.exchange.over() {
		return 0, errNotConfigured
	}
	s.configured = true
	s.refused = checkRuntime(runtime, version)
	return 0, s.refused
}

// Synchronize implements [stub.SynchronizeInterface]. It answers at once, for containerd waits two seconds at most,
// and with thousands of containers; what runs already is judged in the background, and only reported.
func (s *session) Synchronize(
	ctx context.Context, pods []*api.PodSandbox, containers []*api.Container,
) ([]*api.ContainerUpdate, error) {
	running := s.creations(pods, containers)
	s.Logger.InfoContext(ctx, "registered with containerd", "running_containers", len(running))
	s.synchronized = true
	s.Registered(nil)
	s.running.Go(func() { s.review(s.background, s.Handler, running) })
	return nil, nil
}

// creations returns what runs. A container that cannot be understood is left out, and said to be.
func (s *session) creations(pods []*api.PodSandbox, containers []*api.Container) []Creation {
	sandboxes := make(map[string]*api.PodSandbox, len(pods))
	for _, pod := range pods {
		sandboxes[pod.GetId()] = pod
	}
	running := make([]Creation, 0, len(containers))
	for _, container := range containers {
		_ = policy.Guard("reading a running container", s.Panicked, func() error {
			running = append(running, NewCreation(sandboxes[container.GetPodSandboxId()], container))
			return nil
		})
	}
	return running
}

// ValidateContainerAdjustment implements [stub.ValidateContainerAdjustmentInterface]. The container it is given is
// the pristine one: what other plugins would adjust is not in it.
func (s *session) ValidateContainerAdjustment(
	ctx context.Context, request *api.ValidateContainerAdjustmentRequest,
) error {
	err := policy.Guard("a validation", s.Panicked, func() error {
		creation := NewCreation(request.GetPod(), request.GetContainer())
		report, err := s.Handler.validate(ctx, creation)
		if err == nil && report.Verdict.Reason == policy.Pending {
			s.settle(report)
		}
		return err
	})
	if panicked := (*policy.PanicError)(nil); errors.As(err, &panicked) {
		// Its text is the operator's, and this is read by the pod's author.
		return errors.New(message(Report{Verdict: policy.Denial(err)}))
	}
	return err
}
