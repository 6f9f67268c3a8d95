package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// How slowly evidence is fetched ahead. A registry is asked some three questions for a manifest, and decisions and
// pulls go on meanwhile on what may be a small node.
const (
	// prefetchPause lies between two fetches, which are never at the same time.
	prefetchPause = 100 * time.Millisecond
	// prefetchSettle lets a pull that makes several names be one change.
	prefetchSettle = time.Second
	// prefetchPolicies is the least time between two looks at what policies ask for, which is a question for each
	// reference to each document: on a busy cluster they change all the time.
	prefetchPolicies = 10 * time.Second
	// prefetchAgain is when those that failed are tried again. A decision that lacks evidence does not wait for that.
	prefetchAgain = 15 * time.Minute
	// prefetchPatience is how many failures in a row a registry may have before its other images wait for that, too.
	prefetchPatience = 3
	// prefetchProgress is how often progress is logged.
	prefetchProgress = time.Minute
	// expireEvery is how often evidence of images that left the node is looked for, and expireFirst how soon after a
	// start: a daemon that is often restarted has to come to it, too.
	expireEvery = time.Hour
	expireFirst = 5 * time.Minute
)

// prefetch has evidence fetched before a container wants it: of every image that is on the node when the daemon
// starts, the newest first, and then of those that come without having been asked about, by an import, another client
// or a new tag; and of those that changed policies ask a signature of.
//
// It looks at what is there rather than at events, so that it misses none. An image whose evidence is kept, or was
// looked for and found not to exist, is not asked for again: a decision that this does not suffice for does that.
type prefetch struct {
	// held, state, changed and present are those of [origin.Containerd].
	held    func() []origin.Held
	state   func() origin.State
	changed func() <-chan struct{}
	present func(digest.Digest) bool
	// asks is a [policy.Decider]'s: is a signature asked for.
	asks func(reference.Named) bool
	// kept reads what is kept on disk, and starts nothing.
	kept policy.KeptFunc
	// fetch looks for the evidence of a manifest now, and expire removes that of manifests that are not present.
	fetch  func(context.Context, digest.Digest, reference.Named) error
	expire func(present func(digest.Digest) bool) (int, error)
	// fetched and waiting are told how it goes.
	fetched func(failed bool)
	waiting func(images int)
	// panicked is told of panics, after which the next round goes on. It may be nil.
	panicked policy.PanicFunc
	log      *slog.Logger
	// policies rings when they changed.
	policies bell

	plan prefetchPlan
}

// run works until the context ends. While nothing changes it sleeps.
func (p *prefetch) run(ctx context.Context) {
	expiry := time.NewTimer(expireFirst)
	defer expiry.Stop()
	p.plan = newPrefetchPlan()
	progress := &progress{log: p.log}
	var again <-chan time.Time
	for ctx.Err() == nil {
		changed := p.changed()
		var more bool
		_ = policy.Guard("prefetching evidence", p.panicked, func() error {
			more = p.round(ctx, progress, changed)
			return nil
		})
		if again == nil && p.plan.failures() {
			again = time.After(prefetchAgain)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
			pause(ctx, prefetchSettle)
		case <-p.policies:
			pause(ctx, prefetchPolicies)
			p.plan.policiesChanged()
		case <-again:
			again = nil
			p.plan.forgive()
		case <-expiry.C:
			_ = policy.Guard("expiring evidence", p.panicked, func() error { p.expireAbsent(ctx); return nil })
			expiry.Reset(expireEvery)
		}
	}
}

// round fetches what is to be fetched, the newest first, and reports whether there is more of it. It ends early when
// something changes, for what is new comes first, but not before it has done some of it.
func (p *prefetch) round(ctx context.Context, progress *progress, changed <-chan struct{}) (more bool) {
	if !p.state().Following {
		return false
	}
	todo := p.plan.todo(p.held(), p.asks, p.kept)
	for i, next := range todo {
		progress.report(ctx, len(todo)-i)
		p.waiting(len(todo) - i)
		err := p.fetch(ctx, next.manifest, next.reference)
		if ctx.Err() != nil {
			return false
		}
		p.fetched(err != nil)
		progress.count(err != nil)
		p.plan.settle(next, err != nil)
		exhausted := err != nil && p.plan.exhausted(next)
		if err != nil {
			p.log.DebugContext(ctx, "evidence not fetched ahead",
				"reference", next.reference.String(), "manifest", next.manifest, "error", err)
		}
		if exhausted {
			p.log.WarnContext(ctx, "a registry fails: evidence is fetched ahead from the others",
				"registry", reference.Domain(next.reference), "again_after", prefetchAgain.String(), "error", err)
		}
		pause(ctx, prefetchPause)
		if exhausted || p.news(changed) {
			return true
		}
	}
	p.waiting(0)
	progress.end(ctx)
	return false
}

// news reports whether there may be something to fetch that comes before the rest.
func (p *prefetch) news(changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	default:
	}
	if time.Since(p.plan.since) < prefetchPolicies {
		return false
	}
	select {
	case <-p.policies:
		p.plan.policiesChanged()
		return true
	default:
		return false
	}
}

// expireAbsent removes evidence of what left the node, if it is known what is on it.
func (p *prefetch) expireAbsent(ctx context.Context) {
	if state := p.state(); !state.Following || state.Unread > 0 {
		return
	}
	expired, err := p.expire(p.present)
	if err != nil {
		p.log.WarnContext(ctx, "evidence of images that left this node is not removed", "error", err)
	}
	if expired > 0 {
		p.log.InfoContext(ctx, "evidence of images that left this node is removed", "manifests", expired)
	}
}

// pause waits for that long, or until the context ends.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}

// progress logs the beginning, the course and the end of what takes long.
type progress struct {
	log          *slog.Logger
	since, told  time.Time
	done, failed int
}

func (p *progress) report(ctx context.Context, left int) {
	now := time.Now()
	switch {
	case p.since.IsZero():
		p.since, p.told = now, now
		p.log.InfoContext(ctx, "fetching evidence ahead", "manifests", left)
	case now.Sub(p.told) >= prefetchProgress:
		p.told = now
		p.log.InfoContext(ctx, "still fetching evidence ahead", "done", p.done, "failed", p.failed, "left", left)
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
	p.log.InfoContext(ctx, "fetched evidence ahead",
		"done", p.done, "failed", p.failed, "took_seconds", time.Since(p.since).Seconds())
	*p = progress{log: p.log}
}
