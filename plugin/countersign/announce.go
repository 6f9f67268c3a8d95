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

// announce has the outside told how the daemon stands: systemd that it is ready once it is registered for the first
// time, metrics and log whether it is registered, and whether containerd does without it when it is not.
func (d *daemon) announce(ctx context.Context, others *errgroup.Group) {
	registered, lost := newBell(), newBell()
	d.metrics.Registered(false, "not registered with NRI yet")
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
		reported := ""
		for {
			select {
			case <-ctx.Done():
				_, _ = systemd.SdNotify(false, systemd.SdNotifyStopping)
				return nil
			case <-registered:
				// Without systemd there is nobody to tell, which is no error.
				_, _ = systemd.SdNotify(false, systemd.SdNotifyReady)
				reported = d.lookAtContainerd(ctx, true, reported)
			case <-lost:
				reported = d.lookAtContainerd(ctx, false, reported)
			}
		}
	})
}

// lookAtContainerd is done at each registration, for containerd reads its configuration only when it starts, and at
// each that fails, for a containerd that runs without NRI is never registered with. It returns what it has reported.
func (d *daemon) lookAtContainerd(ctx context.Context, registered bool, reported string) string {
	ctx, cancel := context.WithTimeout(ctx, requiredTimeout)
	defer cancel()
	merged, path, err := runningConfig(ctx, d.config.Containerd.Address)
	if err != nil && !registered {
		return reported // A containerd that is away creates nothing, and it is looked at again when it is back.
	}
	if registered {
		d.lookAtPulls(ctx, merged, err)
	}
	if err == nil {
		err = requiredIn(merged, path)
	}
	if err != nil {
		d.metrics.Required(false, err.Error())
		// What is tried again every two seconds is said once.
		if registered || err.Error() != reported {
			d.logger.ErrorContext(ctx,
				"containerd does not require countersign: containers start unchecked whenever it is away", "error", err)
		}
		return err.Error()
	}
	d.metrics.Required(true, "containerd refuses containers while countersign is away")
	if registered {
		d.logger.InfoContext(ctx, "containerd requires countersign")
	}
	return ""
}

// lookAtPulls says whether containerd asks about pulls, and has it looked into whether the image that every pod starts
// with would be refused. Neither is a fault of enforcement: containers are decided on all the same.
func (d *daemon) lookAtPulls(ctx context.Context, merged *config.Config, err error) {
	if err != nil {
		d.metrics.Verified(false, err.Error())
		d.metrics.Sandbox(false, err.Error())
		return
	}
	d.sandbox.configured(sandboxIn(merged))
	if err := verifiedIn(merged, d.config.Pull.Timeout); err != nil {
		d.metrics.Verified(false, err.Error())
		d.logger.InfoContext(ctx, "containerd does not ask about pulls: evidence is fetched once images are here",
			"cause", err)
		return
	}
	d.metrics.Verified(true, "by its image verifier")
	d.logger.InfoContext(ctx, "containerd asks about pulls")
}
