package store

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// health is the result of the last write to disk.
type health struct {
	mu      sync.Mutex
	failure error
	since   time.Time
}

// record records the result of a write, and logs a change.
func (h *health) record(err error, log *slog.Logger) {
	h.mu.Lock()
	before := h.failure
	h.failure = err
	if err != nil && before == nil {
		h.since = now()
	}
	h.mu.Unlock()
	switch {
	case err != nil && before == nil:
		log.Warn("evidence cannot be stored on disk: fetched evidence is stored in memory, imports are refused",
			"error", err)
	case err == nil && before != nil:
		log.Info("evidence is stored on disk again")
	}
}

func (h *health) problem() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failure == nil {
		return nil
	}
	return fmt.Errorf("since %s: %w", h.since.Format(time.RFC3339), h.failure)
}

// now returns the time as records have it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
