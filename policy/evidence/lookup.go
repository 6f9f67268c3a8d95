package evidence

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/registry"
)

// Lookup is a [policy.LookupFunc]. It never waits for a network; evidence on disk is read and verified at its first
// use. If nothing is stored, or the last fetch failed a while ago, it starts a fetch. Manifests are fetched in the
// order given; those after the first 64 are not looked up, and their evidence says so.
func (k *Keeper) Lookup(manifests []policy.Manifest, repository reference.Named) policy.StoredEvidence {
	return each(manifests, repository, func(key store.Key) policy.Evidence { return k.lookup(key, repository, nil) })
}

// Refetch is a [policy.RefetchFunc]: the stored evidence does not suffice and a caller waits. The registry is asked
// again at once, but not within 15 seconds of the last time, and every 15 seconds from then on until no caller has
// waited for a minute. If the registry has more evidence than is stored, what meets the check is looked for in all of
// it.
func (k *Keeper) Refetch(check policy.Check) {
	each(check.Manifests, check.Reference, func(key store.Key) policy.Evidence {
		return k.lookup(key, check.Reference, &check)
	})
}

// Fetch fetches the evidence of a manifest now and waits for the result. The error is why the fetch failed; that there
// is no evidence is not an error. If ctx ends the fetch continues.
func (k *Keeper) Fetch(ctx context.Context, manifest digest.Digest, repository reference.Named) error {
	key, err := k.refreshed(manifest, repository)
	if err != nil {
		return err
	}
	k.mu.Lock()
	e := k.entry(key, repository)
	submitted := k.submit(e, false)
	job := e.job
	k.mu.Unlock()
	if !submitted {
		return fmt.Errorf("fetching evidence of %s: %w", manifest, errBusy)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting for evidence of %s: %w", manifest, ctx.Err())
	case <-job.done:
		return job.err
	}
}

// FetchWith is like [Keeper.Fetch] with credentials of one request, which are tried before the node's. No other caller
// waits for this fetch, and its failure is not shared: another request may have better credentials, and none may spoil
// the fetches of others with worse ones. What it finds is stored, because evidence proves itself. The caller bounds how
// many such fetches run. If ctx ends the fetch ends.
func (k *Keeper) FetchWith(
	ctx context.Context, manifest digest.Digest, repository reference.Named, credentials registry.CredentialFunc,
) error {
	if credentials == nil {
		return k.Fetch(ctx, manifest, repository)
	}
	key, err := k.refreshed(manifest, repository)
	if err != nil {
		return err
	}
	k.mu.Lock()
	e := k.entry(key, repository)
	k.mu.Unlock()
	f, err := k.find(ctx, e, credentials)
	if err != nil {
		return fmt.Errorf("fetching evidence of %s: %w", manifest, err)
	}
	k.absorb(e, f, func(stored error) {
		if err = stored; err == nil {
			err = f.unfinished
			k.nudge()
		}
	})
	return err
}

// refreshed returns the key of evidence whose stored files have been read.
func (k *Keeper) refreshed(manifest digest.Digest, repository reference.Named) (store.Key, error) {
	if err := manifest.Validate(); err != nil {
		return store.Key{}, fmt.Errorf("fetching evidence of %q: %w", manifest, err)
	}
	key := store.Key{Manifest: manifest, Repository: repository.Name()}
	k.refresh(key, repository)
	return key, nil
}

// errBusy reports that no fetch could be started.
var errBusy = errors.New("too many fetches are waiting, or the registry asked for a pause")

// Read returns a [policy.LookupFunc] of what a Keeper, running or not, has stored in a directory. It neither fetches
// nor writes anything: what is not stored there is [policy.Unknown].
func Read(directory string) policy.LookupFunc {
	var generation atomic.Uint64
	return func(manifests []policy.Manifest, repository reference.Named) policy.StoredEvidence {
		return each(manifests, repository, func(key store.Key) policy.Evidence {
			evidence := policy.Evidence{Manifest: key.Manifest}
			if set, err := store.Read(directory, key); err == nil {
				evidence = set.Evidence()
			}
			evidence.Generation = generation.Add(1)
			evidence.Satisfied.Generation = evidence.Generation
			return evidence
		})
	}
}

// each returns the evidence of each manifest, by a function that looks up one.
func each(
	manifests []policy.Manifest, repository reference.Named, one func(store.Key) policy.Evidence,
) policy.StoredEvidence {
	found := make(policy.StoredEvidence, len(manifests))
	name := repository.Name()
	for i := range manifests {
		manifest := manifests[i].Digest
		switch {
		case i >= policy.MaxManifests:
			found[i] = failed(manifest, "the image has more than 64 manifests, and this is not among the first")
		case manifest.Validate() != nil:
			found[i] = failed(manifest, "the manifest has no usable digest")
		default:
			found[i] = one(store.Key{Manifest: manifest, Repository: name})
		}
	}
	return found
}

func failed(manifest digest.Digest, why string) policy.Evidence {
	return policy.Evidence{Manifest: manifest, State: policy.Failed, Detail: why}
}

// lookup returns the evidence of one key, and starts a fetch if one is needed. With a check, a caller waits for
// evidence that meets it.
func (k *Keeper) lookup(key store.Key, repository reference.Named, check *policy.Check) policy.Evidence {
	if set := k.refresh(key, repository); set != nil {
		set.Use()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	e := k.entry(key, repository)
	e.needed = true
	state := e.evidence.State
	refetch := check != nil
	if refetch {
		e.asked = now
		e.wait(*check, now)
		if _, watched := k.watched[e]; !watched {
			k.watched[e] = struct{}{}
			k.nudge()
		}
	}
	// A document that was loaded after the last fetch may need other attestations.
	lacks := !e.evidence.Predicates.ContainsAll(k.predicates(repository))
	if (refetch || lacks || state == policy.Unknown || state == policy.Failed) && !now.Before(e.due) {
		k.submit(e, true)
	}
	return e.evidence
}

// refresh makes the entry of a key agree with what is on disk, and returns what is stored. If the entry exists, it
// costs one stat of a directory.
func (k *Keeper) refresh(key store.Key, repository reference.Named) *store.Set {
	k.mu.Lock()
	e, ok := k.entries[key]
	var before *store.Set
	if ok {
		before = e.stored
	}
	k.mu.Unlock()
	if ok && (before == nil || before.Intact()) {
		return before
	}
	now := k.store.Load(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	e = k.entry(key, repository)
	if e.stored == before && (before != nil || now != nil) {
		k.setStored(e, now)
		e.due = time.Time{}
	}
	return e.stored
}
