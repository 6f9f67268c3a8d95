package policy

import (
	"context"
	"time"
)

// Work in the background shares one processor with the callback (docs/decisions/0005). Go lets a goroutine run for ten
// milliseconds before another has its turn, and looks for requests that have arrived only when nothing runs.
const (
	paceRun  = 200 * time.Microsecond
	paceRest = time.Millisecond
)

// Pacer has work in the background stop for a moment again and again, so that it delays no callback by more than a
// fraction of a millisecond. A nil Pacer never stops.
type Pacer struct{ since time.Time }

// Pause stops for a moment if the work has run for a while. It is called between any two steps.
func (p *Pacer) Pause(ctx context.Context) {
	if p == nil || time.Since(p.since) < paceRun {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(paceRest):
	}
	p.since = time.Now()
}
