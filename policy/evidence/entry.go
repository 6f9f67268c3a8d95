package evidence

import (
	"container/list"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/registry"
	"github.com/countersign/countersign/policy/text"
)

const (
	// maxEntries limits the entries in memory. Stored evidence without an entry is read again.
	maxEntries = 16384
	// pollInterval is how often a registry is asked about the same manifest. The kubelet retries every ten seconds, so
	// that a signature takes effect within thirty seconds of its push.
	pollInterval = 15 * time.Second
	// pollDuration is how long a registry is asked again after a caller last waited for the answer.
	pollDuration = 60 * time.Second
	// busyDelay is how long a fetch is delayed if the queue is full.
	busyDelay = time.Second
	// maxFailure limits the text of a failure, in bytes.
	maxFailure = 500
)

// entry is what is known in memory of one manifest in one repository. The Keeper's lock guards it.
type entry struct {
	key        store.Key
	repository reference.Named
	evidence   policy.Evidence
	// stored is what the evidence was read from, or nil if nothing is stored.
	stored *store.Set
	// sources are the sources at the last fetch. They may be newer than those that are stored, if their content is the
	// same.
	sources []format.SourceState
	// job is the fetch that waits or runs, and failure why the last one failed.
	job     *job
	failure string
	// failures counts those since the last success, failingSince is when the first of them was, and due is when the next
	// fetch may begin.
	failures     int
	failingSince time.Time
	due          time.Time
	// asked is when a caller last waited; needed reports whether a decision ever needed the evidence.
	asked   time.Time
	needed  bool
	element *list.Element
	satisfactions
	// waiting are the checks of callers that wait for evidence that meets them.
	waiting map[checkKey]waitingCheck
}

// entry returns the entry of a key, which it creates if there is none.
func (k *Keeper) entry(key store.Key, repository reference.Named) *entry {
	if e, ok := k.entries[key]; ok {
		k.recent.MoveToBack(e.element)
		return e
	}
	k.evictEntries()
	e := &entry{key: key, repository: reference.TrimNamed(repository)}
	e.element = k.recent.PushBack(e)
	k.entries[key] = e
	k.set(e, policy.Evidence{})
	return e
}

// evictEntries removes the least recently used entries if there are too many. An entry with a fetch stays: it is what
// limits the fetches of its key to one. (Package lru evicts without asking.)
func (k *Keeper) evictEntries() {
	for element := k.recent.Front(); element != nil && len(k.entries) >= maxEntries; {
		next := element.Next()
		if e, ok := element.Value.(*entry); ok && e.job == nil {
			k.recent.Remove(element)
			delete(k.entries, e.key)
			delete(k.watched, e)
		}
		element = next
	}
}

// set changes the evidence of an entry, and its generation if that is a change.
func (k *Keeper) set(e *entry, evidence policy.Evidence) {
	evidence.Manifest = e.key.Manifest
	evidence.Generation = e.evidence.Generation
	k.setSatisfied(e, &evidence)
	before := e.evidence
	before.Source, before.FetchedAt, before.Satisfied = evidence.Source, evidence.FetchedAt, evidence.Satisfied
	if evidence == before && evidence.Generation != 0 {
		e.evidence = evidence
		return
	}
	evidence.Generation = k.generation.Add(1)
	e.evidence = evidence
}

// setStored changes what is stored for an entry; nil: nothing is.
func (k *Keeper) setStored(e *entry, set *store.Set) {
	e.stored = set
	e.reported = nil
	if set == nil {
		k.set(e, policy.Evidence{})
		return
	}
	e.sources = set.Sources()
	k.set(e, set.Evidence())
}

// succeed enters the result of a fetch; set is nil if that is what is stored already.
func (k *Keeper) succeed(e *entry, f *finding, set *store.Set) {
	e.failures, e.failure = 0, ""
	e.due = time.Now().Add(pollInterval)
	switch {
	case set != nil:
		k.setStored(e, set)
	case e.stored != nil:
		k.set(e, e.stored.Evidence())
	}
	if !f.unchanged && len(f.Files) > 0 {
		e.sources = f.Sources
	}
}

// fail enters a failure. Stored evidence stays. So does the answer that there is none, which then reports since when it
// may be out of date.
func (k *Keeper) fail(e *entry, err error) {
	if e.failures++; e.failures == 1 {
		e.failingSince = now()
	}
	e.failure = text.Summary(err.Error(), maxFailure)
	wait := registry.Backoff(e.failures)
	if busy, ok := errors.AsType[*registry.BusyError](err); ok {
		wait = max(wait, min(busy.After, registry.MaxRetryAfter))
		k.queue.registries.pause(e.key.Host(), wait)
	}
	e.due = time.Now().Add(wait)
	if e.stored == nil {
		k.set(e, policy.Evidence{State: policy.Failed, Detail: e.failure})
		return
	}
	if e.evidence.State == policy.None {
		again := e.stored.Evidence()
		again.Detail = text.Summary(fmt.Sprintf("none was found at %s, and requests have been failing since %s: %s",
			again.FetchedAt.Format(time.RFC3339), e.failingSince.Format(time.RFC3339), e.failure), maxFailure)
		k.set(e, again)
	}
}
