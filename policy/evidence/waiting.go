package evidence

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// maxChecks bounds for how many requirements, each under one reference, callers wait at one entry. The one that was
// asked for longest ago makes room: whoever still waits asks again.
const maxChecks = 16

// checkKey identifies a requirement, and the reference under which it is to be met.
type checkKey struct{ requirement, reference string }

func keyOf(c policy.Check) checkKey { return checkKey{c.Requirement(), c.Reference.String()} }

// waitingCheck is a check, and when a caller last waited for evidence that meets it.
type waitingCheck struct {
	policy.Check
	asked time.Time
}

// wait records that a caller waits. The Keeper's lock is held.
func (e *entry) wait(check policy.Check, now time.Time) {
	e.expireChecks(now)
	key := keyOf(check)
	if _, ok := e.waiting[key]; !ok && len(e.waiting) >= maxChecks {
		oldest := key
		for other, waiting := range e.waiting {
			if oldest == key || waiting.asked.Before(e.waiting[oldest].asked) {
				oldest = other
			}
		}
		delete(e.waiting, oldest)
	}
	if e.waiting == nil {
		e.waiting = map[checkKey]waitingCheck{}
	}
	e.waiting[key] = waitingCheck{check, now}
}

// expireChecks removes the checks for which no caller waits any more: they hold the manifests of an image in memory.
func (e *entry) expireChecks(now time.Time) {
	maps.DeleteFunc(e.waiting, func(_ checkKey, c waitingCheck) bool { return now.Sub(c.asked) > pollDuration })
}

// wanted returns what callers wait for at an entry, or nil.
func (k *Keeper) wanted(ctx context.Context, e *entry) *fetch.Wanted {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.expireChecks(time.Now())
	if len(e.waiting) == 0 {
		return nil
	}
	var checks []policy.Check
	var names []string
	for key, waiting := range e.waiting {
		checks = append(checks, waiting.Check)
		names = append(names, key.requirement+" "+key.reference)
	}
	return &fetch.Wanted{
		Checks: names,
		Meets: func(file format.File) bool {
			// One at a time: judging takes processor time, and decisions come first.
			k.screening.Lock()
			defer k.screening.Unlock()
			return slices.ContainsFunc(checks, func(check policy.Check) bool {
				met, err := metBy(ctx, check, e.key.Manifest, file)
				return met && err == nil
			})
		},
	}
}

// metBy reports whether a single file meets a requirement.
func metBy(ctx context.Context, check policy.Check, manifest digest.Digest, file format.File) (met bool, err error) {
	err = store.WithFile(file, func(directory string) {
		single := policy.Evidence{Manifest: manifest, State: policy.Found, Directory: directory}
		switch file.Kind {
		case format.KindBundle:
			single.Bundles = 1
		case format.KindAttestation:
			single.Attestations, single.Predicates = 1, policy.AllPredicates
		default:
			single.Signatures = 1
		}
		met = check.MetBy(ctx, single)
	})
	return met, err
}
