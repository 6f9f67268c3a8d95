package main

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/containerd/v2/cmd/containerd/server/config"
	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/plugin/internal/metrics"
)

// requiredTimeout bounds how long containerd is asked how it was configured.
const requiredTimeout = 5 * time.Second

// verifierInterval is how often it is looked whether the verifier is where containerd runs it. containerd itself looks
// at each pull, so that a verifier counts as soon as it is installed, without a restart of anything.
const verifierInterval = time.Minute

// shortestRetry is when containerd is asked again where it did not answer; the pause doubles each time.
const shortestRetry = time.Second

// standing is what was found when containerd was last looked at, and logged.
type standing struct {
	// merged is its configuration; nil: not known.
	merged *config.Config
	// requirement and pulls are what was logged last.
	requirement, pulls finding
}

// finding is the answer to a health check.
type finding struct {
	status metrics.Status
	cause  string
}

// announce tells systemd that the daemon is ready once it is registered for the first time; and metrics, health and log
// whether it is registered, and what containerd does without it.
func (d *daemon) announce(ctx context.Context, others *errgroup.Group) {
	registered, lost := newBell(), newBell()
	d.metrics.Set(metrics.Registered, metrics.No, "not registered with NRI yet")
	d.plugin.Registered = func(err error) {
		if err == nil {
			d.metrics.Set(metrics.Registered, metrics.Yes, "")
			registered.ring()
			return
		}
		d.metrics.Set(metrics.Registered, metrics.No, err.Error())
		lost.ring()
	}
	others.Go(func() error {
		found := &standing{}
		verifier := time.NewTicker(verifierInterval)
		defer verifier.Stop()
		var retry <-chan time.Time
		wait := shortestRetry
		for {
			select {
			case <-ctx.Done():
				_, _ = systemd.SdNotify(false, systemd.SdNotifyStopping)
				return nil
			case <-registered:
				// Without systemd there is nobody to tell, which is no error.
				_, _ = systemd.SdNotify(false, systemd.SdNotifyReady)
				found.requirement, wait = finding{}, shortestRetry
				retry = d.lookUntilKnown(ctx, found, wait)
			case <-retry:
				wait = min(2*wait, verifierInterval)
				retry = d.lookUntilKnown(ctx, found, wait)
			case <-lost:
				retry = nil
				d.lookAtContainerd(ctx, false, found)
			case <-verifier.C:
				d.lookAtVerifier(ctx, found, false)
			}
		}
	})
}

// lookUntilKnown looks at containerd once it is registered with, and returns when to look again where it could not be
// asked: a containerd that starts serves NRI and its own API one after the other.
func (d *daemon) lookUntilKnown(ctx context.Context, found *standing, wait time.Duration) <-chan time.Time {
	d.lookAtContainerd(ctx, true, found)
	if found.requirement.status != metrics.Unknown {
		return nil
	}
	return time.After(wait)
}

// lookAtContainerd is called at each registration, since containerd reads its configuration only when it starts, and
// after each attempt that fails, since a containerd that runs without NRI is never registered with.
func (d *daemon) lookAtContainerd(ctx context.Context, registered bool, found *standing) {
	ctx, cancel := context.WithTimeout(ctx, requiredTimeout)
	defer cancel()
	merged, path, err := runningConfig(ctx, d.config.Containerd.Address)
	if err != nil && !registered && found.merged != nil {
		return // A containerd that does not run creates nothing. It is looked at again when it is back.
	}
	if registered {
		found.merged = merged
		d.lookAtPulls(ctx, found, err)
	}
	now := finding{metrics.Yes, ""}
	if err != nil {
		now = finding{metrics.Unknown, err.Error()}
	} else if err := requiredIn(merged, path); err != nil {
		now = finding{metrics.No, err.Error()}
	}
	d.metrics.Set(metrics.Required, now.status, now.cause)
	// What is tried again every two seconds is logged once.
	again := now == found.requirement
	found.requirement = now
	switch {
	case again:
	case now.status == metrics.Yes:
		if registered {
			d.logger.InfoContext(ctx, "containerd requires countersign")
		}
	case now.status == metrics.No:
		d.logger.ErrorContext(ctx, "containerd does not require countersign: containers start unchecked while the "+
			"daemon is not registered", "error", now.cause)
	default:
		d.logger.WarnContext(ctx, "it is unknown whether containerd requires countersign", "error", now.cause)
	}
}

// lookAtPulls reports whether containerd asks about pulls, and has the sandbox image judged. Neither affects
// enforcement: containers are decided on all the same.
func (d *daemon) lookAtPulls(ctx context.Context, found *standing, err error) {
	if err != nil {
		d.metrics.Set(metrics.Pulls, metrics.Unknown, err.Error())
		d.metrics.Set(metrics.Sandbox, metrics.Unknown, err.Error())
		return
	}
	d.sandbox.configured(sandboxIn(found.merged))
	d.lookAtVerifier(ctx, found, true)
}

// lookAtVerifier reports what becomes of pulls, and logs it where that is new or to be logged anyway.
func (d *daemon) lookAtVerifier(ctx context.Context, found *standing, anyway bool) {
	if found.merged == nil {
		return
	}
	now := finding{metrics.Yes, ""}
	err := verifiedIn(found.merged, d.live.config().Pull.Timeout)
	if err != nil {
		now = finding{metrics.No, err.Error()}
	}
	d.metrics.Set(metrics.Pulls, now.status, now.cause)
	if now == found.pulls && !anyway {
		return
	}
	found.pulls = now
	switch {
	case err == nil:
		d.logger.InfoContext(ctx, "containerd asks about pulls")
	case errors.Is(err, errPullsRefused):
		d.logger.ErrorContext(ctx, "containerd refuses every pull", "error", now.cause)
	default:
		d.logger.InfoContext(ctx, "containerd does not ask about pulls: signatures are fetched once an image is on the node",
			"cause", now.cause)
	}
}
