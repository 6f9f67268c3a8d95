package files

import (
	"context"
	"errors"
	"time"

	"github.com/fsnotify/fsnotify"
)

// timing contains the intervals between checks of the files.
type timing struct {
	// debounce is how long no event must arrive before the files are checked; maxDebounce limits the wait while events
	// continue.
	debounce, maxDebounce time.Duration
	// settle is how long after it was written a file is read again if it was read immediately.
	settle time.Duration
	// retryInterval is the interval of checks while something is wrong that may end without an event, such as a missing
	// mount.
	retryInterval time.Duration
	// rescanInterval is the interval of checks without problems and without events.
	rescanInterval time.Duration
}

func defaultTiming() timing {
	return timing{
		debounce: 100 * time.Millisecond, maxDebounce: time.Second,
		settle: 2 * settleByWait, retryInterval: 5 * time.Second, rescanInterval: time.Minute,
	}
}

// nextCheck returns when the next check is due without events.
func (p timing) nextCheck(now time.Time, r result, watchBroken bool) time.Time {
	wake := now.Add(p.rescanInterval)
	sooner := func(t time.Time) {
		if t.Before(wake) {
			wake = t
		}
	}
	if r.retry || watchBroken {
		sooner(now.Add(p.retryInterval))
	}
	if r.unsettled {
		sooner(now.Add(p.settle))
	}
	if !r.missingSince.IsZero() {
		sooner(r.missingSince.Add(deletionDelay))
	}
	return wake
}

// eventTimes are the times of the first and the last event since the last check.
type eventTimes struct{ first, last time.Time }

func (h *eventTimes) add(now time.Time) {
	if h.first.IsZero() {
		h.first = now
	}
	h.last = now
}

// due returns when the next check is due, given the events and the time without them.
func (p timing) due(h eventTimes, wake time.Time) time.Time {
	if h.first.IsZero() {
		return wake
	}
	due := h.last.Add(p.debounce)
	if latest := h.first.Add(p.maxDebounce); latest.Before(due) {
		due = latest
	}
	if wake.Before(due) {
		return wake
	}
	return due
}

// wait waits until the next check is due or the context ends.
func (d *Documents) wait(ctx context.Context, watch *watch, wake time.Time) {
	events, errs := watch.events()
	timer := time.NewTimer(time.Until(wake))
	defer timer.Stop()
	var h eventTimes
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case event := <-events:
			if watch.places.affects(event.Name) {
				h.add(time.Now())
				timer.Reset(time.Until(d.timing.due(h, wake)))
			}
		case err := <-errs:
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				return // Events were lost, so check immediately.
			}
			watch.fail(err)
			events, errs = nil, nil
			timer.Reset(d.timing.retryInterval)
		}
	}
}
