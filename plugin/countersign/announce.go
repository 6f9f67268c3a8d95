package main

import (
	"context"
	"time"

	"github.com/containerd/containerd/v2/cmd/containerd/server/config"
	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"
)

// requiredTimeout bounds how long containerd is asked how it was configured.
const requiredTimeout = 5 * time.Second

// verifierInterval is how often it is looked whether the verifier is where containerd runs it. containerd itself looks
// at each pull, so that a verifier counts as soon as it is installed, without a restart of anything.
const verifierInterval = time.Minute

// standing is what was found when containerd was last looked at, and reported.
type standing struct {
	// merged is its configuration; nil: not known.
	merged *config.Config
	// spared is why it does without the daemon, and unasked why it does not ask about pulls; empty: it does not, it does.
	spared, unasked string
}

// announce has the outside told how the daemon stands: systemd that it is ready once it is registered for the first
// time, metrics and log whether it is registered, and whether containerd does without it when it is not.
func (d *daemon) announce(ctx context.Context, others *errgroup.Group) {
	registered, lost := newBell(), newBell()
	d.metrics.Registered(false, "not registered with NRI yet")
	d.metrics.Required(false, "not looked at yet")
	d.metrics.Verified(false, "not looked at yet")
	d.metrics.Sandbox(false, "not looked at yet")
	d.plugin.Registered = func(is bool) {
		if is {
			d.metrics.Registered(true, "registered with NRI")
			registered.ring()
			return
		}
		d.metrics.Registered(false, "the connection to NRI is lost")
		lost.ring()
	}
	others.Go(func() error {
		found := &standing{}
		verifier := time.NewTicker(verifierInterval)
		defer verifier.Stop()
		for {
			select {
			case <-ctx.Done():
				_, _ = systemd.SdNotify(false, systemd.SdNotifyStopping)
				return nil
			case <-registered:
				// Without systemd there is nobody to tell, which is no error.
				_, _ = systemd.SdNotify(false, systemd.SdNotifyReady)
				d.lookAtContainerd(ctx, true, found)
			case <-lost:
				d.lookAtContainerd(ctx, false, found)
			case <-verifier.C:
				d.lookAtVerifier(ctx, found, false)
			}
		}
	})
}

// lookAtContainerd is done at each registration, for containerd reads its configuration only when it starts, and at
// each that fails, for a containerd that runs without NRI is never registered with.
func (d *daemon) lookAtContainerd(ctx context.Context, registered bool, found *standing) {
	ctx, cancel := context.WithTimeout(ctx, requiredTimeout)
	defer cancel()
	merged, path, err := runningConfig(ctx, d.config.Containerd.Address)
	if err != nil && !registered {
		return // A containerd that is away creates nothing, and it is looked at again when it is back.
	}
	if registered {
		found.merged = merged
		d.lookAtPulls(ctx, found, err)
	}
	if err == nil {
		err = requiredIn(merged, path)
	}
	if err != nil {
		d.metrics.Required(false, err.Error())
		// What is tried again every two seconds is said once.
		if registered || err.Error() != found.spared {
			d.logger.ErrorContext(ctx,
				"containerd does not require countersign: containers start unchecked whenever it is away", "error", err)
		}
		found.spared = err.Error()
		return
	}
	found.spared = ""
	d.metrics.Required(true, "containerd refuses containers while countersign is away")
	if registered {
		d.logger.InfoContext(ctx, "containerd requires countersign")
	}
}

// lookAtPulls says whether containerd asks about pulls, and has it looked into whether the image that every pod starts
// with would be refused. Neither is a fault of enforcement: containers are decided on all the same.
func (d *daemon) lookAtPulls(ctx context.Context, found *standing, err error) {
	if err != nil {
		d.metrics.Verified(false, err.Error())
		d.metrics.Sandbox(false, err.Error())
		return
	}
	d.sandbox.configured(sandboxIn(found.merged))
	d.lookAtVerifier(ctx, found, true)
}

// lookAtVerifier says whether containerd asks about pulls, and logs it where that is new or to be said anyway.
func (d *daemon) lookAtVerifier(ctx context.Context, found *standing, anyway bool) {
	if found.merged == nil {
		return
	}
	if err := verifiedIn(found.merged, d.config.Pull.Timeout); err != nil {
		d.metrics.Verified(false, err.Error())
		if anyway || err.Error() != found.unasked {
			d.logger.InfoContext(ctx, "containerd does not ask about pulls: evidence is fetched once images are here",
				"cause", err)
		}
		found.unasked = err.Error()
		return
	}
	if !anyway && found.unasked == "" {
		return
	}
	found.unasked = ""
	d.metrics.Verified(true, "by its image verifier")
	d.logger.InfoContext(ctx, "containerd asks about pulls")
}
