package main

import (
	"context"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"
)

// requiredTimeout bounds how long containerd is asked how it was configured.
const requiredTimeout = 5 * time.Second

// announce has the outside told how the daemon stands: systemd that it is ready once it is registered for the first
// time, metrics and log whether it is registered, and whether containerd does without it when it is not.
func (d *daemon) announce(ctx context.Context, others *errgroup.Group) {
	registered := make(chan struct{}, 1)
	d.metrics.Registered(false, "not registered with NRI yet")
	d.plugin.Registered = func(is bool) {
		if !is {
			d.metrics.Registered(false, "the connection to NRI is lost")
			return
		}
		d.metrics.Registered(true, "registered with NRI")
		select {
		case registered <- struct{}{}:
		default:
		}
	}
	others.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				_, _ = systemd.SdNotify(false, systemd.SdNotifyStopping)
				return nil
			case <-registered:
				// Without systemd there is nobody to tell, which is no error.
				_, _ = systemd.SdNotify(false, systemd.SdNotifyReady)
				d.lookWhetherRequired(ctx)
			}
		}
	})
}

// lookWhetherRequired is done at each registration: containerd reads its configuration only when it starts.
func (d *daemon) lookWhetherRequired(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requiredTimeout)
	defer cancel()
	if err := requiredBy(ctx, d.config.Containerd.Address); err != nil {
		d.metrics.Required(false, err.Error())
		d.logger.ErrorContext(ctx,
			"containerd does not require countersign: containers start unchecked whenever it is away", "error", err)
		return
	}
	d.metrics.Required(true, "containerd refuses containers while countersign is away")
	d.logger.InfoContext(ctx, "containerd requires countersign")
}
