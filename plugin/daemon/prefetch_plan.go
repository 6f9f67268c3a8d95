package daemon

import (
	"slices"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// maxJobs limits the fetches that wait, and those that wait for the retry. The newest stay; the others are found again
// when the queue is empty.
const maxJobs = 4096

// prefetchPlan is the queue of fetches.
type prefetchPlan struct {
	// jobs are the waiting fetches, for the newest image first.
	jobs []fetchJob
	// known are the keys of jobs and failed.
	known map[evidenceKey]struct{}
	// failed are the fetches that wait for the retry.
	failed []fetchJob
	// dropped reports whether there were too many.
	dropped bool
	// since is when policies were last evaluated again.
	since time.Time
	// failing counts the consecutive failures of each registry.
	failing map[string]int
}

// evidenceKey is the key under which evidence is stored.
type evidenceKey struct {
	manifest   digest.Digest
	repository string
}

// fetchJob is one planned fetch. updated is when the image was last updated on the node.
type fetchJob struct {
	manifest  digest.Digest
	reference reference.Named
	updated   time.Time
}

func (j fetchJob) key() evidenceKey { return evidenceKey{j.manifest, j.reference.Name()} }

func newPrefetchPlan() prefetchPlan {
	return prefetchPlan{known: map[evidenceKey]struct{}{}, since: time.Now(), failing: map[string]int{}}
}

// isNew reports whether a fetch is not in the plan.
func (p *prefetchPlan) isNew(job fetchJob) bool {
	_, known := p.known[job.key()]
	return !known
}

func (p *prefetchPlan) add(job fetchJob) {
	p.known[job.key()] = struct{}{}
	if p.jobs = append(p.jobs, job); len(p.jobs) >= 2*maxJobs {
		p.sort()
	}
}

// sort puts the newest image first. It drops the oldest if there are too many.
func (p *prefetchPlan) sort() {
	slices.SortStableFunc(p.jobs, func(a, b fetchJob) int { return b.updated.Compare(a.updated) })
	if len(p.jobs) > maxJobs {
		p.drop(p.jobs[maxJobs:])
		p.jobs = slices.Delete(p.jobs, maxJobs, len(p.jobs))
	}
}

func (p *prefetchPlan) drop(jobs []fetchJob) {
	p.dropped = true
	for _, job := range jobs {
		delete(p.known, job.key())
	}
}

// droppedAny reports whether fetches were dropped since the last time.
func (p *prefetchPlan) droppedAny() bool {
	dropped := p.dropped
	p.dropped = false
	return dropped
}

// next removes the next fetch from the plan. Manifests that have left the node are skipped, and those of a failing
// registry wait for the retry.
func (p *prefetchPlan) next(present func(digest.Digest) bool) (job fetchJob, ok bool) {
	for len(p.jobs) > 0 {
		job := p.jobs[0]
		p.jobs = slices.Delete(p.jobs, 0, 1)
		switch {
		case !present(job.manifest):
			delete(p.known, job.key())
		case p.failing[reference.Domain(job.reference)] >= maxFailures:
			p.fail(job)
		default:
			delete(p.known, job.key())
			return job, true
		}
	}
	return fetchJob{}, false
}

// fail makes a fetch wait for the retry.
func (p *prefetchPlan) fail(job fetchJob) {
	if len(p.failed) >= maxJobs {
		p.drop(p.failed[:1])
		p.failed = slices.Delete(p.failed, 0, 1)
	}
	p.known[job.key()] = struct{}{}
	p.failed = append(p.failed, job)
}

func (p *prefetchPlan) waiting() int { return len(p.jobs) }

// record records the result of a fetch. It reports whether the registry has now reached the limit of failures, so that
// nothing is fetched from it until the retry.
func (p *prefetchPlan) record(job fetchJob, failure bool) (exhausted bool) {
	host := reference.Domain(job.reference)
	if !failure {
		delete(p.failing, host)
		return false
	}
	p.fail(job)
	p.failing[host]++
	return p.failing[host] == maxFailures
}

// failures reports whether there is a failed fetch to retry.
func (p *prefetchPlan) failures() bool { return len(p.failed) > 0 }

// retryFailed schedules failed fetches again.
func (p *prefetchPlan) retryFailed() {
	clear(p.failing)
	p.jobs = append(p.jobs, p.failed...)
	p.failed = nil
	p.sort()
}

func isStored(lookup policy.LookupFunc, manifest policy.Manifest, ref reference.Named) bool {
	for _, evidence := range lookup([]policy.Manifest{manifest}, ref) {
		return evidence.State == policy.Found || evidence.State == policy.None
	}
	return false
}
