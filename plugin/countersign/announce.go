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
	registered, lost := make(chan struct{}, 1), make(chan struct{}, 1)
	signal := func(channel chan<- struct{}) {
		select {
		case channel <- struct{}{}:
		default:
		}
	}
	d.metrics.Registered(false, "not registered with NRI yet")
	d.plugin.Registered = func(is bool) {
		if is {
			d.metrics.Registered(true, "registered with NRI")
			signal(registered)
			return
		}
		d.metrics.Registered(false, "the connection to NRI is lost")
		signal(lost)
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
				reported = d.lookWhetherRequired(ctx, true, reported)
			case <-lost:
				reported = d.lookWhetherRequired(ctx, false, reported)
			}
		}
	})
}

// lookWhetherRequired is done at each registration, for containerd reads its configuration only when it starts, and at
// each that fails, for a containerd that runs without NRI is never registered with. It returns what it has reported.
func (d *daemon) lookWhetherRequired(ctx context.Context, registered bool, reported string) string {
	ctx, cancel := context.WithTimeout(ctx, requiredTimeout)
	defer cancel()
	merged, path, err := runningConfig(ctx, d.config.Containerd.Address)
	if err != nil && !registered {
		return reported // A containerd that is away creates nothing, and it is looked at again when it is back.
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
