package evidence

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/registry"
)

// submit queues the fetch of an entry, unless it is queued or running already. It reports whether there is a fetch. The
// caller holds mu.
func (k *Keeper) submit(e *entry, urgent bool) bool {
	if e.job != nil {
		e.job.urgent = e.job.urgent || urgent
		return true
	}
	if until := k.queue.registries.pausedUntil(e.key.Host()); !until.IsZero() {
		e.due = until
		return false
	}
	j, ok := k.queue.add(e, urgent)
	if !ok {
		return false
	}
	e.job = j
	if k.queue.begin(j) {
		k.start(j)
	}
	return true
}

// dispatch starts the jobs whose turn it is. The caller holds mu.
func (k *Keeper) dispatch() {
	for j := k.queue.next(); j != nil; j = k.queue.next() {
		k.start(j)
	}
}

func (k *Keeper) start(j *job) { k.running.Go(func() { k.run(k.ctx, j) }) }

// run fetches, stores the result and updates the entry.
func (k *Keeper) run(ctx context.Context, j *job) {
	e := j.entry
	begun := time.Now()
	f, asked := k.find(ctx, e, nil)
	took := time.Since(begun)
	var tell func()
	k.absorb(e, f, func(stored error) {
		err := cmp.Or(asked, stored)
		e.job, j.err = nil, err
		if ctx.Err() == nil {
			tell = k.recordResult(j.registry, asked)
		}
		switch {
		case err == nil:
			j.err = f.unfinished
		case ctx.Err() == nil:
			k.fail(e, err)
		}
		k.queue.finished(j, took, asked)
		close(j.done)
		k.dispatch()
		k.nudge()
	})
	// After the locks are released, because the reader of the log may stop reading.
	if tell != nil {
		tell()
	}
}

// absorb stores what a fetch found and updates the entry; a nil finding is a failed fetch. It records first what met a
// requirement, because the files of the entry may be replaced. It calls ended with the error of storing, while it holds
// the locks.
func (k *Keeper) absorb(e *entry, f *finding, ended func(stored error)) {
	k.recordSatisfied(k.ctx, e)
	k.changing.Lock()
	defer k.changing.Unlock()
	var set *store.Set
	var err error
	if f != nil {
		set, err = k.keepGuarded(e, f)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if f != nil && err == nil {
		k.succeed(e, f, set)
	}
	ended(err)
}

// find fetches the evidence of an entry. The credentials may be nil.
func (k *Keeper) find(ctx context.Context, e *entry, credentials registry.CredentialFunc) (f *finding, err error) {
	request := fetch.Request{
		Repository: e.repository, Manifest: e.key.Manifest, Known: k.verified(e), Credentials: credentials,
		Wanted: k.wanted(ctx, e), Predicates: k.predicates(e.repository).List(),
	}
	if !k.lookedFor(e, request.Predicates) {
		request.Known = nil
	}
	// What a registry serves is hostile bytes, and what parses them is not all ours.
	err = policy.Guard("a fetch of evidence", k.panicked, func() error {
		found, err := k.fetch(ctx, request)
		if err == nil {
			f = newFinding(found)
		}
		return err
	})
	return f, err
}

func (k *Keeper) keepGuarded(e *entry, f *finding) (set *store.Set, err error) {
	err = policy.Guard("storing evidence", k.panicked, func() (err error) {
		set, err = k.keep(e, f)
		return err
	})
	return set, err
}

// verified returns the sources that were last read in full, if every byte of what they had is still there. What is
// damaged is absent from then on.
func (k *Keeper) verified(e *entry) []format.SourceState {
	k.mu.Lock()
	stored, read := e.stored, e.sources
	k.mu.Unlock()
	if stored == nil || stored.Evidence().State != policy.Found {
		return nil
	}
	if stored.Verify() != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if e.stored == stored {
			k.setStored(e, nil)
		}
		return nil
	}
	return slices.DeleteFunc(slices.Clone(read), func(s format.SourceState) bool { return s.Partial })
}

// lookedFor reports whether attestations with all of these predicate types were looked for before.
func (k *Keeper) lookedFor(e *entry, predicates []string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return e.evidence.Predicates.ContainsAll(policy.NewPredicates(predicates...))
}

// keep stores what was found if it is new, and returns nil if it is not.
func (k *Keeper) keep(e *entry, f *finding) (*store.Set, error) {
	k.mu.Lock()
	before, needed := e.stored, e.needed
	k.mu.Unlock()
	if f.unchanged {
		return nil, nil //nolint:nilnil // Nothing new is not an error.
	}
	content := f.merge(before)
	if before != nil {
		// A signature is verified without its registry, and removing it there does not revoke it: a registry that lost its
		// data does not remove signatures from a node that has them.
		nothing := len(f.Files) == 0 && before.Evidence().State == policy.Found
		if nothing && !slices.Equal(before.Content().Predicates, f.Predicates) {
			content = before.Content()
			content.Predicates, nothing = f.Predicates, false
		}
		if (nothing || before.Equal(content)) && len(f.Satisfied) == 0 {
			return nil, nil //nolint:nilnil // Nothing new is no error.
		}
		// If the disk is full, the store holds them in memory.
		content.Satisfied = append(before.SatisfiedFiles(), f.Satisfied...)
	}
	return k.put(e.key, content, needed)
}
