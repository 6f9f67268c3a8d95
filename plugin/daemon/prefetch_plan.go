package daemon

import (
	"runtime"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// prefetchPlan selects what to fetch.
type prefetchPlan struct {
	// outcomes are the results of earlier fetches; 0: not fetched.
	outcomes map[evidenceKey]outcome
	// required caches whether a reference requires a signature: there may be thousands of references and documents.
	required map[string]bool
	// since is when policies were last evaluated again.
	since time.Time
	// failing counts the consecutive failures of each registry.
	failing map[string]int
}

// outcome is the result of a fetch.
type outcome uint8

const (
	fetched outcome = iota + 1
	failed
)

// evidenceKey is the key under which evidence is stored.
type evidenceKey struct {
	manifest   digest.Digest
	repository string
}

// fetchJob is one fetch to do.
type fetchJob struct {
	manifest  digest.Digest
	reference reference.Named
}

func (j fetchJob) key() evidenceKey { return evidenceKey{j.manifest, j.reference.Name()} }

func newPrefetchPlan() prefetchPlan {
	return prefetchPlan{
		outcomes: map[evidenceKey]outcome{}, required: map[string]bool{}, since: time.Now(), failing: map[string]int{},
	}
}

// todo returns the missing fetches, in the order of the images, and drops the state of images that are not listed.
func (p *prefetchPlan) todo(
	images []origin.Held, requiresSignature func(reference.Named) bool, lookup policy.LookupFunc,
) (todo []fetchJob) {
	required := map[string]bool{}
	outcomes := map[evidenceKey]outcome{}
	for _, image := range images {
		// There may be thousands of images, and containers wait for the one processor.
		runtime.Gosched()
		name := image.Reference.String()
		if _, known := p.required[name]; !known {
			p.required[name] = requiresSignature(image.Reference)
		}
		if required[name] = p.required[name]; !required[name] {
			continue
		}
		for _, manifest := range image.Manifests {
			next := fetchJob{manifest.Digest, image.Reference}
			if _, twice := outcomes[next.key()]; twice {
				continue
			}
			outcomes[next.key()] = p.outcome(next, manifest, lookup)
			if outcomes[next.key()] == 0 && !p.exhausted(next) {
				todo = append(todo, next)
			}
		}
	}
	p.outcomes, p.required = outcomes, required
	return todo
}

// outcome returns the result of the last fetch, including one before this process started, or 0 if there was none.
func (p *prefetchPlan) outcome(job fetchJob, manifest policy.Manifest, lookup policy.LookupFunc) outcome {
	if known := p.outcomes[job.key()]; known != 0 || !isStored(lookup, manifest, job.reference) {
		return known
	}
	return fetched
}

func isStored(lookup policy.LookupFunc, manifest policy.Manifest, ref reference.Named) bool {
	for _, evidence := range lookup([]policy.Manifest{manifest}, ref) {
		return evidence.State == policy.Found || evidence.State == policy.None
	}
	return false
}

// record records the result of a fetch.
func (p *prefetchPlan) record(job fetchJob, failure bool) {
	host := reference.Domain(job.reference)
	if !failure {
		p.outcomes[job.key()] = fetched
		delete(p.failing, host)
		return
	}
	p.outcomes[job.key()] = failed
	p.failing[host]++
}

// exhausted reports whether the registry has failed so often that nothing is fetched from it until the next retry.
func (p *prefetchPlan) exhausted(job fetchJob) bool {
	return p.failing[reference.Domain(job.reference)] >= maxFailures
}

// failures reports whether there is a failed fetch to retry.
func (p *prefetchPlan) failures() bool {
	for _, outcome := range p.outcomes {
		if outcome == failed {
			return true
		}
	}
	return false
}

// retryFailed schedules failed fetches again.
func (p *prefetchPlan) retryFailed() {
	clear(p.failing)
	for key, outcome := range p.outcomes {
		if outcome == failed {
			delete(p.outcomes, key)
		}
	}
}

// policiesChanged discards the cached requirements, so that policies are evaluated again for each reference.
func (p *prefetchPlan) policiesChanged() {
	clear(p.required)
	p.since = time.Now()
}
