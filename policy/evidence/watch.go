package evidence

import (
	"time"
)

// watch asks again for what someone waits for, and has superseded files removed, until the Keeper is closed.
func (k *Keeper) watch() {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	for {
		next := k.askAgain(time.Now())
		next = earlier(next, k.store.RemoveSuperseded(time.Now()))
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(max(time.Until(next), time.Millisecond))
		select {
		case <-k.ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
	}
}

// askAgain has everything fetched that someone waits for and that is due, and returns when the next is.
func (k *Keeper) askAgain(now time.Time) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for e := range k.watched {
		if now.Sub(e.asked) > pollDuration {
			delete(k.watched, e)
			continue
		}
		if e.job != nil {
			// It nudges when it is done.
			continue
		}
		if !now.Before(e.due) && !k.submit(e, true) && !now.Before(e.due) {
			e.due = now.Add(busyDelay)
		}
		if e.job == nil {
			next = earlier(next, e.due)
		}
	}
	return next
}

// pausedUntil returns until when a registry wants to be left alone; zero: it does not. The caller holds mu.
func (k *Keeper) pausedUntil(host string) time.Time {
	until, ok := k.paused[host]
	if !ok {
		return time.Time{}
	}
	if !time.Now().Before(until) {
		delete(k.paused, host)
		return time.Time{}
	}
	return until
}

// nudge has watch look again.
func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// earlier returns the earlier of two times, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
