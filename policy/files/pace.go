package files

import (
	"context"
	"errors"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pace says how long to wait for what.
type pace struct {
	// quiet is how long there must be no hint before files are looked at, and patience how long hints may go on.
	quiet, patience time.Duration
	// settle is after which time a file is read again that was read just after it was written.
	settle time.Duration
	// trouble is how often to look while something is wrong that may end without a hint, as mounts do.
	trouble time.Duration
	// rescan is how often to look when all is well and nothing is heard.
	rescan time.Duration
}

func defaultPace() pace {
	return pace{
		quiet: 100 * time.Millisecond, patience: time.Second,
		settle: 2 * settleByWait, trouble: 5 * time.Second, rescan: time.Minute,
	}
}

// wake returns when to look again at the latest.
func (p pace) wake(now time.Time, r result, deaf bool) time.Time {
	wake := now.Add(p.rescan)
	sooner := func(t time.Time) {
		if t.Before(wake) {
			wake = t
		}
	}
	if r.trouble || deaf {
		sooner(now.Add(p.trouble))
	}
	if r.unsettled {
		sooner(now.Add(p.settle))
	}
	if !r.gone.IsZero() {
		sooner(r.gone.Add(away))
	}
	return wake
}

// hints are those that came since files were looked at last.
type hints struct{ first, last time.Time }

func (h *hints) add(now time.Time) {
	if h.first.IsZero() {
		h.first = now
	}
	h.last = now
}

// due returns when to look, given the hints and when to look without any.
func (p pace) due(h hints, wake time.Time) time.Time {
	if h.first.IsZero() {
		return wake
	}
	due := h.last.Add(p.quiet)
	if latest := h.first.Add(p.patience); latest.Before(due) {
		due = latest
	}
	if wake.Before(due) {
		return wake
	}
	return due
}

// wait returns when it is time to look again, or the context ends.
func (d *Documents) wait(ctx context.Context, watch *watch, wake time.Time) {
	events, faults := watch.events()
	timer := time.NewTimer(time.Until(wake))
	defer timer.Stop()
	var h hints
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case event := <-events:
			if watch.places.matters(event.Name) {
				h.add(time.Now())
				timer.Reset(time.Until(d.pace.due(h, wake)))
			}
		case err := <-faults:
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				return // Hints were lost, so look at once.
			}
			watch.lost(err)
			events, faults = nil, nil
			timer.Reset(d.pace.trouble)
		}
	}
}
