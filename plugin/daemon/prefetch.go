package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// The rate of prefetching. A manifest takes about three requests to its registry; meanwhile the node, which may be
// small, decides about containers and pulls.
const (
	// fetchInterval is the pause between two fetches, which never run concurrently.
	fetchInterval = 100 * time.Millisecond
	// imagesDebounce combines the changes of a pull that creates several names.
	imagesDebounce = time.Second
	// policiesInterval is the minimum time between two evaluations of what policies require, each of which selects a scope
	// per reference and document: on a busy cluster policies change all the time.
	policiesInterval = 10 * time.Second
	// retryInterval is when failed fetches are retried. Decisions that lack evidence request their own fetch.
	retryInterval = 15 * time.Minute
	// maxFailures is how many failures in a row a registry may have before its other images wait for the retry too.
	maxFailures = 3
	// progressInterval is how often progress is logged.
	progressInterval = time.Minute
	// expireInterval is how often evidence of images that left the node expires, and expireFirst how long after the start,
	// so that a daemon that is restarted often expires evidence too.
	expireInterval = time.Hour
	expireFirst    = 5 * time.Minute
)

// prefetch fetches evidence before a container needs it: of every image that is on the node when the daemon starts, the
// newest first; then of images that arrive without the pull gate, by an import, another client or a new tag; and of
// images for which changed policies require a signature.
//
// It considers names that are new or have moved, so that its work does not depend on the number of images on the node.
// It does not fetch evidence that is stored, or that was found not to exist: a decision that needs more requests a
// refetch.
type prefetch struct {
	// news, names, held, state, changed and present are methods of [origin.Containerd].
	news    func() []string
	names   func() []string
	held    func(stored string) []origin.LocalImage
	state   func() origin.State
	changed func() <-chan struct{}
	present func(digest.Digest) bool
	// requiresSignature is a method of [policy.Decider].
	requiresSignature func(reference.Named) bool
	// lookup reads stored evidence, and requests nothing.
	lookup policy.LookupFunc
	// fetch fetches the evidence of a manifest now; expire removes the evidence of manifests that are not present.
	fetch  func(context.Context, digest.Digest, reference.Named) error
	expire func(present func(digest.Digest) bool) (int, error)
	// fetched counts a fetch; waiting receives how many manifests are still to be fetched.
	fetched func(failed bool)
	waiting func(manifests int)
	// panicked is called for each panic, after which the next round continues. It may be nil.
	panicked policy.PanicFunc
	log      *slog.Logger
	// policiesChanged notifies of changed policies.
	policiesChanged notifier

	plan prefetchPlan
	// pacer interrupts the planning, so that decisions get the processor.
	pacer policy.Pacer
}

// run prefetches until the context ends. While nothing changes it sleeps.
func (p *prefetch) run(ctx context.Context) {
	expiry := time.NewTimer(expireFirst)
	defer expiry.Stop()
	p.plan = newPrefetchPlan()
	progress := &progress{log: p.log}
	var retry <-chan time.Time
	for ctx.Err() == nil {
		changed := p.changed()
		var more bool
		_ = policy.Guard("prefetching evidence", p.panicked, func() error {
			more = p.round(ctx, progress, changed)
			return nil
		})
		if retry == nil && p.plan.failures() {
			retry = time.After(retryInterval)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
			pause(ctx, imagesDebounce)
		case <-p.policiesChanged:
			pause(ctx, policiesInterval)
			p.evaluatePolicies(ctx)
		case <-retry:
			retry = nil
			p.plan.retryFailed()
		case <-expiry.C:
			_ = policy.Guard("expiring evidence", p.panicked, func() error { p.expireAbsent(ctx); return nil })
			expiry.Reset(expireInterval)
		}
	}
}

// round fetches missing evidence, for the newest images first, and reports whether more is missing. It ends early if
// something changes, because new images have precedence, but not before it has fetched something.
func (p *prefetch) round(ctx context.Context, progress *progress, changed <-chan struct{}) (more bool) {
	if !p.state().Following {
		return false
	}
	p.consider(ctx, p.news())
	for ctx.Err() == nil {
		next, ok := p.plan.next(p.present)
		if !ok {
			break
		}
		progress.report(ctx, p.plan.waiting()+1)
		p.waiting(p.plan.waiting() + 1)
		err := p.fetch(ctx, next.manifest, next.reference)
		if ctx.Err() != nil {
			return false
		}
		p.fetched(err != nil)
		progress.count(err != nil)
		if exhausted := p.plan.record(next, err != nil); exhausted {
			p.log.WarnContext(ctx, "a registry fails: evidence is prefetched from the others",
				"registry", reference.Domain(next.reference), "retry_after", retryInterval.String(), "error", err)
		} else if err != nil {
			p.log.DebugContext(ctx, "evidence not prefetched",
				"reference", next.reference.String(), "manifest", next.manifest, "error", err)
		}
		pause(ctx, fetchInterval)
		if p.interrupted(ctx, changed) {
			return true
		}
	}
	if p.plan.droppedAny() {
		p.consider(ctx, p.names())
		return p.plan.waiting() > 0
	}
	p.waiting(0)
	progress.end(ctx)
	return false
}

// consider adds the missing evidence of the images of some names to the plan.
func (p *prefetch) consider(ctx context.Context, names []string) {
	for _, stored := range names {
		for _, image := range p.held(stored) {
			p.pacer.Pause(ctx)
			if ctx.Err() != nil {
				return
			}
			p.considerImage(image)
		}
	}
	p.plan.sort()
}

func (p *prefetch) considerImage(image origin.LocalImage) {
	if !p.requiresSignature(image.Reference) {
		return
	}
	for _, manifest := range image.Manifests {
		job := fetchJob{manifest.Digest, image.Reference, image.Updated}
		if p.plan.isNew(job) && !isStored(p.lookup, manifest, image.Reference) {
			p.plan.add(job)
		}
	}
}

// evaluatePolicies considers all names, because policies have changed.
func (p *prefetch) evaluatePolicies(ctx context.Context) {
	p.plan.since = time.Now()
	_ = policy.Guard("prefetching evidence", p.panicked, func() error {
		p.consider(ctx, p.names())
		return nil
	})
}

// interrupted reports whether something changed, so that other manifests may have precedence.
func (p *prefetch) interrupted(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	default:
	}
	if time.Since(p.plan.since) < policiesInterval {
		return false
	}
	select {
	case <-p.policiesChanged:
		p.evaluatePolicies(ctx)
		return true
	default:
		return false
	}
}

// expireAbsent removes evidence of images that left the node, if all images on the node are known.
func (p *prefetch) expireAbsent(ctx context.Context) {
	if !p.state().Complete() {
		return
	}
	expired, err := p.expire(p.present)
	if err != nil {
		p.log.WarnContext(ctx, "cannot remove evidence of images that left this node", "error", err)
	}
	if expired > 0 {
		p.log.InfoContext(ctx, "removed evidence of images that left this node", "manifests", expired)
	}
}

// pause waits for a duration, or until the context ends.
func pause(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}
