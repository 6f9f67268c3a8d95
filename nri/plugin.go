package nri

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/countersign/countersign/policy"
)

// Name and Index are what the plugin registers under. The index orders it among others: all validators run, and
// none sees the result of another.
const (
	Name  = "countersign"
	Index = "10"
)

// Plugin stays registered with containerd's NRI and passes its requests to a [Handler].
type Plugin struct {
	// Socket is NRI's socket.
	Socket  string
	Handler *Handler
	Logger  *slog.Logger
	// Panicked is called with each panic during a request, which is then refused as [policy.Internal]. It may be nil.
	Panicked policy.PanicFunc
	// Registered is called with nil whenever the plugin has been registered, and with the cause whenever a registration
	// has ended or an attempt has failed; with [ErrUnanswered] if containerd does not answer, which it may later.
	Registered func(error)
	// AnswerTimeout is how long containerd may take to answer a registration before that is reported; zero: 15 seconds.
	AnswerTimeout time.Duration
	// Version returns containerd's version, from containerd's own API. It is called if NRI cannot be reached, because a
	// containerd that is too old may have no NRI at all. It may be nil.
	Version func(context.Context) (string, error)
}

// session is one registration: what NRI's stub calls. It has the methods of the events it subscribes to and no
// others, which is how the stub finds out what to subscribe to.
type session struct {
	*Plugin
	conn       *connTracker
	background context.Context //nolint:containedctx // The session is the owner of what it starts, and ends it.
	running    sync.WaitGroup  // what evaluates running containers
	waiting    atomic.Int32    // containers that wait to be re-evaluated
	// complete is closed when the registration is complete.
	complete     chan struct{}
	completeOnce sync.Once
	// The state of the registration. Requests of containerd write it; it is read after all of them have been handled.
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
	if s.conn.isClosed() {
		return 0, errNotConfigured
	}
	s.configured = true
	s.refused = checkRuntime(runtime, version)
	return 0, s.refused
}

// Synchronize implements [stub.SynchronizeInterface]. It answers at once, because containerd waits at most two
// seconds, with thousands of containers too. Running containers are evaluated in the background and only reported.
func (s *session) Synchronize(
	ctx context.Context, pods []*api.PodSandbox, containers []*api.Container,
) ([]*api.ContainerUpdate, error) {
	running := s.containerInfos(pods, containers)
	s.Logger.InfoContext(ctx, "registered with containerd", "running_containers", len(running))
	s.synchronized = true
	s.completeOnce.Do(func() { close(s.complete) })
	s.Registered(nil)
	s.running.Go(func() { s.auditRunning(s.background, s.Handler, running) })
	return nil, nil
}

// containerInfos returns the running containers. One that cannot be read is skipped, and the panic reported.
func (s *session) containerInfos(pods []*api.PodSandbox, containers []*api.Container) []ContainerInfo {
	sandboxes := make(map[string]*api.PodSandbox, len(pods))
	for _, pod := range pods {
		sandboxes[pod.GetId()] = pod
	}
	running := make([]ContainerInfo, 0, len(containers))
	for _, container := range containers {
		_ = policy.Guard("reading a running container", s.Panicked, func() error {
			running = append(running, NewContainerInfo(sandboxes[container.GetPodSandboxId()], container))
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
		info := NewContainerInfo(request.GetPod(), request.GetContainer())
		report, err := s.Handler.validate(ctx, info)
		if err == nil && report.Verdict.Reason == policy.Pending {
			s.reevaluateLater(report)
		}
		return err
	})
	if panicked := (*policy.PanicError)(nil); errors.As(err, &panicked) {
		// Its text is for the operator, and the pod's author reads this.
		return errors.New(message(Report{Verdict: policy.Denial(err)}))
	}
	return err
}
