package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/metrics"
)

// configTimeout limits the time to read containerd's configuration.
const configTimeout = 5 * time.Second

// verifierInterval is how often the daemon checks whether the verifier is installed where containerd runs it.
// containerd checks at each pull, so a verifier takes effect without a restart.
const verifierInterval = time.Minute

// firstRetry is when containerd is called again if it did not answer; the interval doubles each time.
const firstRetry = time.Second

// containerdStatus reports how the running containerd uses countersign: whether it requires the plugin, and whether it
// verifies pulls.
type containerdStatus struct {
	// address is containerd's address; pullTimeout returns how long the verifier may take.
	address     string
	pullTimeout func() time.Duration
	// hosts is registry.config_path.
	hosts string
	// sandboxImage receives the reference of the sandbox image.
	sandboxImage func(string)
	// onlyAudits reports whether every namespace is in audit mode, so that containerd need not require the plugin.
	onlyAudits func() bool
	metrics    *metrics.Metrics
	log        *slog.Logger

	// config is containerd's configuration; nil: not known.
	config *containerd.Config
	// required and pulls are the answers that were last logged, and containerdHosts is the last setting of containerd's.
	required, pulls healthAnswer
	containerdHosts string
}

// reportStatus notifies systemd that the daemon is ready after its first registration. It reports to metrics, health
// checks and the log whether the plugin is registered, and what containerd does while it is not.
func (d *daemon) reportStatus(ctx context.Context, group *errgroup.Group) {
	registered, disconnected := newNotifier(), newNotifier()
	d.metrics.Set(metrics.Registered, metrics.No, "not registered with NRI yet")
	d.plugin.Registered = func(err error) {
		d.metrics.Unanswered(errors.Is(err, nri.ErrUnanswered))
		if err == nil {
			runtime := d.plugin.Runtime()
			d.metrics.SetRuntime(metrics.Runtime{Name: runtime.Name + " " + runtime.Version, FoundBy: runtime.FoundBy})
			d.metrics.Set(metrics.Registered, metrics.Yes, "")
			registered.notify()
			return
		}
		d.metrics.Set(metrics.Registered, metrics.No, err.Error())
		disconnected.notify()
	}
	status := &containerdStatus{
		address:      d.config.Containerd.Address,
		pullTimeout:  func() time.Duration { return d.current.config().Pull.Timeout },
		hosts:        d.config.Registry.ConfigPath,
		sandboxImage: d.sandbox.configured,
		onlyAudits:   d.current.onlyAudits,
		metrics:      d.metrics,
		log:          d.log,
	}
	group.Go(func() error { status.run(ctx, registered, disconnected); return nil })
}

// run checks containerd after each registration and each failed attempt, until the context ends.
func (s *containerdStatus) run(ctx context.Context, registered, disconnected notifier) {
	verifier := time.NewTicker(verifierInterval)
	defer verifier.Stop()
	var retry <-chan time.Time
	wait := firstRetry
	for {
		select {
		case <-ctx.Done():
			_, _ = systemd.SdNotify(false, systemd.SdNotifyStopping)
			return
		case <-registered:
			// Without systemd there is no socket to notify; that is not an error.
			_, _ = systemd.SdNotify(false, systemd.SdNotifyReady)
			s.required, wait = healthAnswer{}, firstRetry
			retry = s.checkRegistered(ctx, wait)
		case <-retry:
			wait = min(2*wait, verifierInterval)
			retry = s.checkRegistered(ctx, wait)
		case <-disconnected:
			retry = nil
			s.check(ctx, false)
		case <-verifier.C:
			s.checkVerifier(ctx, false)
		}
	}
}

// checkRegistered checks containerd while the plugin is registered. If containerd did not answer, it returns when to
// check again: containerd starts to serve NRI and its API one after the other.
func (s *containerdStatus) checkRegistered(ctx context.Context, wait time.Duration) <-chan time.Time {
	s.check(ctx, true)
	if s.required.status != metrics.Unknown {
		return nil
	}
	return time.After(wait)
}

// check reads containerd's configuration and reports its effects. It is called after each registration, because
// containerd reads its configuration only when it starts, and after each failed attempt, because the plugin never
// registers with a containerd that runs without NRI.
func (s *containerdStatus) check(ctx context.Context, registered bool) {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	config, err := containerd.ReadConfig(ctx, s.address)
	if err != nil && !registered && s.config != nil {
		return // A containerd that does not run creates nothing. The next registration checks it again.
	}
	if registered {
		s.config = config
		s.checkPulls(ctx, err)
	}
	answer := healthAnswer{metrics.Yes, ""}
	if err != nil {
		answer = healthAnswer{metrics.Unknown, err.Error()}
	} else if err := config.Required(nri.Index, nri.Name); err != nil {
		answer = healthAnswer{metrics.No, err.Error()}
	}
	s.metrics.Set(metrics.Required, answer.status, answer.cause)
	// An attempt every two seconds would log the same answer each time.
	repeated := answer == s.required
	s.required = answer
	switch {
	case repeated:
	case answer.status == metrics.Yes:
		if registered {
			s.log.InfoContext(ctx, "containerd requires countersign")
		}
	case answer.status == metrics.No && s.onlyAudits():
		s.log.InfoContext(ctx, "containerd does not require countersign: every namespace is in audit mode, and containers "+
			"that are created while the daemon is not registered are not audited", "cause", answer.cause)
	case answer.status == metrics.No:
		s.log.ErrorContext(ctx, "containerd does not require countersign: containers start unchecked while the "+
			"daemon is not registered", "error", answer.cause)
	default:
		s.log.WarnContext(ctx, "cannot determine whether containerd requires countersign", "error", answer.cause)
	}
}

// checkPulls reports whether containerd verifies pulls, and requests a check of the sandbox image. Neither affects
// decisions about containers. err is why the configuration is not known.
func (s *containerdStatus) checkPulls(ctx context.Context, err error) {
	if err != nil {
		s.metrics.Set(metrics.Pulls, metrics.Unknown, err.Error())
		s.metrics.Set(metrics.Sandbox, metrics.Unknown, err.Error())
		return
	}
	s.checkHosts(ctx)
	s.sandboxImage(s.config.SandboxImage())
	s.checkVerifier(ctx, true)
}

// checkVerifier reports whether containerd runs the verifier for each pull. It logs the answer if it changed or if
// always is set.
func (s *containerdStatus) checkVerifier(ctx context.Context, always bool) {
	if s.config == nil {
		return
	}
	answer := healthAnswer{metrics.Yes, ""}
	err := s.config.VerifiesPulls(s.pullTimeout())
	if err != nil {
		answer = healthAnswer{metrics.No, err.Error()}
	}
	s.metrics.Set(metrics.Pulls, answer.status, answer.cause)
	if answer == s.pulls && !always {
		return
	}
	s.pulls = answer
	switch {
	case err == nil:
		s.log.InfoContext(ctx, "containerd runs the image verifier for each pull")
	case errors.Is(err, containerd.ErrPullsRefused):
		s.log.ErrorContext(ctx, "containerd refuses every pull", "error", answer.cause)
	default:
		s.log.InfoContext(ctx, "the image verifier is not active: signatures are fetched after an image is pulled",
			"cause", answer.cause)
	}
}
