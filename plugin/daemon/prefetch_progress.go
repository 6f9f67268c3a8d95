package daemon

import (
	"context"
	"log/slog"
	"time"
)

// progress logs the beginning, the progress and the end of prefetching.
type progress struct {
	log           *slog.Logger
	since, logged time.Time
	done, failed  int
}

func (p *progress) report(ctx context.Context, left int) {
	now := time.Now()
	switch {
	case p.since.IsZero():
		p.since, p.logged = now, now
		p.log.InfoContext(ctx, "prefetching evidence", "manifests", left)
	case now.Sub(p.logged) >= progressInterval:
		p.logged = now
		p.log.InfoContext(ctx, "still prefetching evidence", "done", p.done, "failed", p.failed, "left", left)
	}
}

func (p *progress) count(failed bool) {
	p.done++
	if failed {
		p.failed++
	}
}

func (p *progress) end(ctx context.Context) {
	if p.since.IsZero() {
		return
	}
	p.log.InfoContext(ctx, "prefetched evidence",
		"done", p.done, "failed", p.failed, "took_seconds", time.Since(p.since).Seconds())
	*p = progress{log: p.log}
}
