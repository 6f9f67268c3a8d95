package main

import (
	"runtime"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// prefetchPlan knows what is still to be fetched.
type prefetchPlan struct {
	// settled is what came of looking for evidence; 0: nobody looked.
	settled map[evidenceKey]outcome
	// asked is whether a signature is asked of a reference, for there may be thousands of each.
	asked map[string]bool
	// since is when policies were first asked.
	since time.Time
	// failing is how often each registry failed in a row.
	failing map[string]int
}

// outcome is what came of looking for evidence.
type outcome uint8

const (
	looked outcome = iota + 1
	failed
)

// evidenceKey is what evidence is kept for.
type evidenceKey struct {
	manifest   digest.Digest
	repository string
}

// wanted is one fetch that is to be done.
type wanted struct {
	manifest  digest.Digest
	reference reference.Named
}

func (w wanted) key() evidenceKey { return evidenceKey{w.manifest, w.reference.Name()} }

func newPrefetchPlan() prefetchPlan {
	return prefetchPlan{
		settled: map[evidenceKey]outcome{}, asked: map[string]bool{}, since: time.Now(), failing: map[string]int{},
	}
}

// todo returns what is to be fetched for what is held, in that order, and forgets what is not held any more.
func (p *prefetchPlan) todo(
	all []origin.Held, asks func(reference.Named) bool, kept policy.KeptFunc,
) (todo []wanted) {
	asked := map[string]bool{}
	settled := map[evidenceKey]outcome{}
	for _, held := range all {
		// There may be thousands, and containers are waiting for the one processor.
		runtime.Gosched()
		name := held.Reference.String()
		if _, known := p.asked[name]; !known {
			p.asked[name] = asks(held.Reference)
		}
		if asked[name] = p.asked[name]; !asked[name] {
			continue
		}
		for _, manifest := range held.Manifests {
			next := wanted{manifest.Digest, held.Reference}
			if _, twice := settled[next.key()]; twice {
				continue
			}
			settled[next.key()] = p.outcome(next, manifest, kept)
			if settled[next.key()] == 0 && !p.exhausted(next) {
				todo = append(todo, next)
			}
		}
	}
	p.settled, p.asked = settled, asked
	return todo
}

// outcome returns what came of looking for evidence, also before this process began, and 0 if nobody looked.
func (p *prefetchPlan) outcome(w wanted, manifest policy.Manifest, kept policy.KeptFunc) outcome {
	if known := p.settled[w.key()]; known != 0 || !isKept(kept, manifest, w.reference) {
		return known
	}
	return looked
}

func isKept(kept policy.KeptFunc, manifest policy.Manifest, ref reference.Named) bool {
	for _, evidence := range kept([]policy.Manifest{manifest}, ref) {
		return evidence.State == policy.Found || evidence.State == policy.None
	}
	return false
}

// settle notes what came of a fetch.
func (p *prefetchPlan) settle(w wanted, failure bool) {
	host := reference.Domain(w.reference)
	if !failure {
		p.settled[w.key()] = looked
		delete(p.failing, host)
		return
	}
	p.settled[w.key()] = failed
	p.failing[host]++
}

// exhausted reports whether the registry has failed so often that it is left alone for a while.
func (p *prefetchPlan) exhausted(w wanted) bool {
	return p.failing[reference.Domain(w.reference)] >= prefetchPatience
}

// failures reports whether anything failed that is to be tried again.
func (p *prefetchPlan) failures() bool {
	for _, outcome := range p.settled {
		if outcome == failed {
			return true
		}
	}
	return false
}

// forgive has what failed tried again.
func (p *prefetchPlan) forgive() {
	clear(p.failing)
	for key, outcome := range p.settled {
		if outcome == failed {
			delete(p.settled, key)
		}
	}
}

// policiesChanged has every reference asked about again.
func (p *prefetchPlan) policiesChanged() {
	clear(p.asked)
	p.since = time.Now()
}
