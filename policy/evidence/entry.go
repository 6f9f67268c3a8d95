package evidence

import (
	"container/list"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

const (
	// maxEntries bounds what is known in memory of manifests in repositories. What is forgotten is read again.
	maxEntries = 16384
	// interval is how long the same question is not put to a registry again. With the kubelet's ten seconds between
	// attempts, a signature counts within thirty seconds of its push.
	interval = 15 * time.Second
	// patience is how long a registry is asked again after someone last waited for the answer.
	patience = 60 * time.Second
	// busyDelay is how long a fetch waits for which there was no room.
	busyDelay = time.Second
	// fewPaused is how many registries that are left alone are not worth looking through.
	fewPaused = 64
)

// entry is what is known in memory of one manifest in one repository. The Keeper's lock guards it.
type entry struct {
	key        key
	repository reference.Named
	evidence   policy.Evidence
	// held is what the evidence is made of, where it is found or none.
	held *held
	// sources are what was last read, which may be newer than those in the record: they said the same.
	sources []format.SourceState
	// job is the fetch under way, and failure why the last one failed.
	job     *job
	failure string
	// failures counts those since the last success, failing is when the first of them was, and due is when it may be asked
	// again.
	failures int
	failing  time.Time
	due      time.Time
	// asked is when someone last waited; wanted says that some decision needed it, ever.
	asked   time.Time
	wanted  bool
	element *list.Element
}

// entry returns the entry of a key, which it makes if there is none.
func (k *Keeper) entry(key key, repository reference.Named) *entry {
	if e, ok := k.entries[key]; ok {
		k.recent.MoveToBack(e.element)
		return e
	}
	k.shrink()
	e := &entry{key: key, repository: reference.TrimNamed(repository)}
	e.element = k.recent.PushBack(e)
	k.entries[key] = e
	k.set(e, policy.Evidence{})
	return e
}

// shrink forgets the entries that were used longest ago, where there are too many.
func (k *Keeper) shrink() {
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

// set changes what is said of an entry, and its generation if that is a change.
func (k *Keeper) set(e *entry, evidence policy.Evidence) {
	evidence.Manifest = e.key.manifest
	evidence.Generation = e.evidence.Generation
	before := e.evidence
	before.Source, before.FetchedAt = evidence.Source, evidence.FetchedAt
	if evidence == before && evidence.Generation != 0 {
		e.evidence = evidence
		return
	}
	evidence.Generation = k.generation.Add(1)
	e.evidence = evidence
}

// hold makes an entry say what is held.
func (k *Keeper) hold(e *entry, h *held) {
	e.held = h
	if h == nil {
		k.set(e, policy.Evidence{})
		return
	}
	e.sources = h.record.Sources
	k.set(e, h.evidence())
}

// evidence returns what is said of what is held, but for its generation.
func (h *held) evidence() policy.Evidence {
	return policy.Evidence{
		Manifest:   h.record.Manifest,
		State:      h.record.state(),
		Directory:  h.directory,
		Signatures: len(h.record.Signatures),
		Bundles:    len(h.record.Bundles),
		Partial:    h.record.partial(),
		Unusable:   h.record.Unusable,
		Detail:     h.record.detail(),
		Source:     h.record.source(),
		FetchedAt:  h.record.Fetched,
	}
}

// succeed enters what a fetch found; h is nil where that is what is known already.
func (k *Keeper) succeed(e *entry, f *finding, h *held) {
	e.failures, e.failure = 0, ""
	e.due = time.Now().Add(interval)
	switch {
	case h != nil:
		k.hold(e, h)
	case e.held != nil:
		k.set(e, e.held.evidence())
	}
	if !f.unchanged && !f.empty() {
		e.sources = f.sources
	}
}

// fail enters a failure. It takes nothing away: what was found stays, and so does that there was none, which then
// says since when it may be out of date.
func (k *Keeper) fail(e *entry, err error) {
	if e.failures++; e.failures == 1 {
		e.failing = now()
	}
	e.failure = shorten(err.Error())
	wait := registry.Backoff(e.failures)
	if busy, ok := errors.AsType[*registry.BusyError](err); ok {
		wait = max(wait, min(busy.After, registry.MaxRetryAfter))
		k.pause(e.key.host(), wait)
	}
	e.due = time.Now().Add(wait)
	if e.held == nil {
		k.set(e, policy.Evidence{State: policy.Failed, Detail: e.failure})
		return
	}
	if e.evidence.State == policy.None {
		again := e.held.evidence()
		again.Detail = shorten(fmt.Sprintf("none was found at %s, and asking again fails since %s: %s",
			e.held.record.Fetched.Format(time.RFC3339), e.failing.Format(time.RFC3339), e.failure))
		k.set(e, again)
	}
}

// pause leaves a registry alone for a while. Those that may be asked again are forgotten whenever as many more have
// come as were left the last time, so that what a pause costs does not depend on how many there are.
func (k *Keeper) pause(host string, wait time.Duration) {
	if len(k.paused) >= k.manyPaused {
		maps.DeleteFunc(k.paused, func(_ string, until time.Time) bool { return time.Now().After(until) })
		k.manyPaused = max(fewPaused, 2*len(k.paused))
	}
	k.paused[host] = time.Now().Add(wait)
}
