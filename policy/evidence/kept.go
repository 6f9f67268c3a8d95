package evidence

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Kept is a [policy.LookupFunc]. It never waits for a network; what is on disk is read and verified at first use. Where
// nothing is known, or looking failed a while ago, it starts a fetch. Manifests are fetched in the order given; those
// after the first 64 are not looked at, and say so.
func (k *Keeper) Kept(manifests []policy.Manifest, repository reference.Named) policy.StoredEvidence {
	return each(manifests, repository, func(key key) policy.Evidence { return k.one(key, repository, false) })
}

// Ask is a [policy.RefetchFunc]: what is stored did not suffice and someone waits. The registry is asked again at once,
// but not within 15 seconds of the last time, and every 15 seconds from then on until nobody has asked for a minute.
func (k *Keeper) Ask(manifests []policy.Manifest, repository reference.Named) {
	each(manifests, repository, func(key key) policy.Evidence { return k.one(key, repository, true) })
}

// Fetch looks for the signatures of a manifest now and waits for the answer. The error is why looking failed; that
// there are none is no error. When ctx ends the fetch goes on.
func (k *Keeper) Fetch(ctx context.Context, manifest digest.Digest, repository reference.Named) error {
	if err := manifest.Validate(); err != nil {
		return fmt.Errorf("fetching evidence of %q: %w", manifest, err)
	}
	key := key{manifest: manifest, repository: repository.Name()}
	k.refresh(key, repository)
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

// errBusy says that no fetch could be started.
var errBusy = errors.New("too many fetches are waiting already, or the registry wants to be left alone")

// Read returns a [policy.LookupFunc] of what a Keeper, running or not, keeps in a directory. It fetches nothing and
// writes nothing: what is not kept there is [policy.Unknown].
func Read(directory string) policy.LookupFunc {
	root := filepath.Join(directory, versionDirectory)
	var generation atomic.Uint64
	return func(manifests []policy.Manifest, repository reference.Named) policy.StoredEvidence {
		return each(manifests, repository, func(key key) policy.Evidence {
			evidence := policy.Evidence{Manifest: key.manifest}
			if h, err := readHeld(root, key); err == nil {
				evidence = h.evidence()
			}
			evidence.Generation = generation.Add(1)
			return evidence
		})
	}
}

func each(
	manifests []policy.Manifest, repository reference.Named, one func(key) policy.Evidence,
) policy.StoredEvidence {
	kept := make(policy.StoredEvidence, len(manifests))
	name := repository.Name()
	for i := range manifests {
		manifest := manifests[i].Digest
		switch {
		case i >= policy.MaxManifests:
			kept[i] = notLooked(manifest, "the image has more than 64 manifests, and this is not among the first")
		case manifest.Validate() != nil:
			kept[i] = notLooked(manifest, "the manifest has no usable digest")
		default:
			kept[i] = one(key{manifest: manifest, repository: name})
		}
	}
	return kept
}

func notLooked(manifest digest.Digest, why string) policy.Evidence {
	return policy.Evidence{Manifest: manifest, State: policy.Failed, Detail: why}
}

// one answers for one key and starts what fetching that calls for.
func (k *Keeper) one(key key, repository reference.Named, ask bool) policy.Evidence {
	h := k.refresh(key, repository)
	if h != nil {
		h.volume.use(key)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	e := k.entry(key, repository)
	e.wanted = true
	state := e.evidence.State
	if ask {
		e.asked = now
		k.watched[e] = struct{}{}
		k.nudge()
	}
	if (ask || state == policy.Unknown || state == policy.Failed) && !now.Before(e.due) {
		k.submit(e, true)
	}
	return e.evidence
}

// refresh makes sure that what memory says of a key is what lies on disk, at the price of one look at a directory
// where it is known, and returns it.
func (k *Keeper) refresh(key key, repository reference.Named) *held {
	k.mu.Lock()
	e, ok := k.entries[key]
	var before *held
	if ok {
		before = e.held
	}
	k.mu.Unlock()
	if ok && (before == nil || before.intact()) {
		return before
	}
	now := k.load(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	e = k.entry(key, repository)
	if e.held == before && (before != nil || now != nil) {
		k.hold(e, now)
		e.due = time.Time{}
	}
	return e.held
}
