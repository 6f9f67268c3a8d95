package nri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/countersign/countersign/policy"
)

// The plugin registers under Name and Index. The index orders it among others: all validators run, and none sees the
// result of another.
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
	// Version returns containerd's version, from containerd's own API. It is called before NRI is connected to, because a
	// containerd that is too old may have no NRI at all. It may be nil.
	Version func(context.Context) (string, error)
	// Unsupported returns why the running containerd cannot be served as it is configured. It may be nil.
	Unsupported func(context.Context) error

	validated validations
	identity  atomic.Pointer[Runtime]
}

// Runtime is the runtime that the plugin is registered with.
type Runtime struct {
	// Name and Version are as the runtime reports them.
	Name, Version string
	// FoundBy is how the images of its containers are identified.
	FoundBy policy.FoundBy
}

// Runtime returns the runtime that the plugin is, or was last, registered with. Its zero value is none.
func (p *Plugin) Runtime() Runtime {
	if known := p.identity.Load(); known != nil {
		return *known
	}
	return Runtime{}
}

// session is one registration: what NRI's stub calls. It has the methods of the events it subscribes to and no
// others, which is how the stub finds out what to subscribe to.
type session struct {
	*Plugin
	conn       *connTracker
	background context.Context //nolint:containedctx // The session is the owner of what it starts, and ends it.
	running    sync.WaitGroup  // evaluations of running containers
	waiting    atomic.Int32    // containers that wait to be re-evaluated
	// complete is closed when the registration is complete.
	complete     chan struct{}
	completeOnce sync.Once
	// The state of the registration. Requests of containerd write it; it is read after all of them have been handled.
	configured, synchronized bool
	refused                  error
	runtime                  Runtime
}

var (
	_ stub.ConfigureInterface                   = (*session)(nil)
	_ stub.SynchronizeInterface                 = (*session)(nil)
	_ stub.ValidateContainerAdjustmentInterface = (*session)(nil)
	_ stub.StartContainerInterface              = (*session)(nil)
)

var errNotConfigured = errors.New("the connection was lost before the registration was complete")

// Configure implements [stub.ConfigureInterface]. An error makes containerd drop the plugin. The runtime may be another
// version than at the last registration: an upgrade, or a rollback.
func (s *session) Configure(ctx context.Context, _, name, version string) (api.EventMask, error) {
	if s.conn.isClosed() {
		return 0, errNotConfigured
	}
	s.configured = true
	s.refused = s.check(ctx, name, version)
	return events(s.runtime.FoundBy), s.refused
}

// check returns why a runtime cannot be served.
func (s *session) check(ctx context.Context, name, version string) error {
	foundBy, err := identification(name, version)
	if err != nil {
		return err
	}
	s.runtime = Runtime{Name: name, Version: version, FoundBy: foundBy}
	if s.Unsupported == nil {
		return nil
	}
	// The runtime waits for this.
	ctx, cancel := context.WithTimeout(ctx, configurationTimeout)
	defer cancel()
	if err := s.Unsupported(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return nil
}

// configurationTimeout limits the examination of the runtime's configuration. The runtime waits for two seconds.
const configurationTimeout = time.Second

// events returns the requests to subscribe to.
func events(foundBy policy.FoundBy) api.EventMask {
	var mask api.EventMask
	mask.Set(api.Event_VALIDATE_CONTAINER_ADJUSTMENT)
	if foundBy == policy.FoundByLayers {
		mask.Set(api.Event_START_CONTAINER)
	}
	return mask
}

// Synchronize implements [stub.SynchronizeInterface]. It answers at once, because containerd waits at most two
// seconds, with thousands of containers too. Running containers are evaluated in the background and only reported.
func (s *session) Synchronize(
	ctx context.Context, pods []*api.PodSandbox, containers []*api.Container,
) ([]*api.ContainerUpdate, error) {
	running := s.containerInfos(pods, containers)
	s.Logger.InfoContext(ctx, "registered with containerd", "version", s.runtime.Version,
		"found_by", string(s.runtime.FoundBy), "running_containers", len(running))
	s.synchronized = true
	s.identity.Store(&s.runtime)
	s.completeOnce.Do(func() { close(s.complete) })
	s.Registered(nil)
	evaluate := s.Handler.runningReported
	if s.runtime.FoundBy == policy.FoundByLayers {
		evaluate = s.Handler.runningByRecord
	}
	s.running.Go(func() { s.auditRunning(s.background, running, evaluate) })
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

// ValidateContainerAdjustment implements [stub.ValidateContainerAdjustmentInterface]. It receives the container without
// the adjustments of other plugins.
func (s *session) ValidateContainerAdjustment(
	ctx context.Context, request *api.ValidateContainerAdjustmentRequest,
) error {
	err := policy.Guard("a validation", s.Panicked, func() error {
		info := NewContainerInfo(request.GetPod(), request.GetContainer())
		if info.FoundBy == "" {
			info.FoundBy = s.runtime.FoundBy
		}
		report, err := s.Handler.validate(ctx, info)
		if err != nil {
			return err
		}
		if report.Verdict.Reason == policy.Pending {
			s.reevaluateLater(info, report)
		}
		if s.runtime.FoundBy == policy.FoundByLayers {
			s.validated.add(info.ID, validation{report.configs, report.volumes, !report.Verdict.Admitted()})
		}
		return nil
	})
	if panicked := (*policy.PanicError)(nil); errors.As(err, &panicked) {
		// Its text is for the operator, and the pod's author reads this.
		return errors.New(Message(Report{Verdict: policy.Denial(err)}))
	}
	return err
}
