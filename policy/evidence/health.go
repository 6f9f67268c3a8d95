package evidence

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// health is how the last write to disk went.
type health struct {
	mu      sync.Mutex
	failure error
	since   time.Time
}

// note enters how a write went, and logs it where that is new.
func (h *health) note(err error, log *slog.Logger) {
	h.mu.Lock()
	before := h.failure
	h.failure = err
	if err != nil && before == nil {
		h.since = now()
	}
	h.mu.Unlock()
	switch {
	case err != nil && before == nil:
		log.Warn("evidence cannot be stored on disk: fetched evidence is kept in memory, imports are refused", "error", err)
	case err == nil && before != nil:
		log.Info("evidence is stored on disk again")
	}
}

// StoreProblem returns why evidence is not stored on disk, and since when; nil: the last write succeeded. Evidence that
// is fetched meanwhile is kept in memory, and lost at a restart; imports are refused.
func (k *Keeper) StoreProblem() error {
	k.health.mu.Lock()
	defer k.health.mu.Unlock()
	if k.health.failure == nil {
		return nil
	}
	return fmt.Errorf("since %s: %w", k.health.since.Format(time.RFC3339), k.health.failure)
}

// StoredBytes returns how much evidence takes, on disk and in memory, in bytes counted in blocks of 4 KiB.
func (k *Keeper) StoredBytes() (bytes int64) {
	for _, v := range k.volumes() {
		v.mu.Lock()
		bytes += v.ledger.total
		v.mu.Unlock()
	}
	return bytes
}
