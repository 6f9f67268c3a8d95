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

// maxRefused is how often in one round no room is found for fetches from registries of a rank: others of that rank
// would not fare better, and each attempt looks through all that waits.
const maxRefused = 16

// askAgain queues all fetches that are due and that a caller waits for, and returns when the next is due.
func (k *Keeper) askAgain(now time.Time) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var refused [ranks]int
	for e := range k.watched {
		if now.Sub(e.asked) > pollDuration {
			delete(k.watched, e)
			e.waiting = nil
			continue
		}
		if e.job == nil && !now.Before(e.due) {
			k.askOne(e, now, &refused)
		}
		// It nudges when a job is done.
		if e.job == nil {
			next = earlier(next, e.due)
		}
	}
	return next
}

// askOne queues the fetch of a due entry, unless too many of the rank of its registry were refused in this round.
func (k *Keeper) askOne(e *entry, now time.Time, refused *[ranks]int) {
	rank := k.queue.registries.rank(e.key.Host())
	if refused[rank] < maxRefused && !k.submit(e, true) {
		refused[rank]++
	}
	if e.job == nil && !now.Before(e.due) {
		e.due = now.Add(busyDelay)
	}
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
