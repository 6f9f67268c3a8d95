package evidence

import (
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
)

// absence is how long evidence is kept of an image that is not on this node any more. It may come back: a node under
// pressure of disk removes images that its next pod needs.
const absence = 24 * time.Hour

// Expire removes the evidence of manifests that left this node more than a day ago, and returns of how many. present
// says of a manifest or index whether it is here; call Expire every hour, and not without knowing that. When an image
// was first seen to be absent is kept over restarts.
//
// Imported evidence does not expire before its image was seen here once. The error is why something could not be
// noted, for want of disk say; it is tried again the next time.
func (k *Keeper) Expire(present func(manifest digest.Digest) bool) (expired int, err error) {
	for _, v := range k.volumes() {
		gone, failed := v.expire(present, time.Now())
		k.forget(v, gone)
		expired += len(gone)
		err = errors.Join(err, failed)
	}
	return expired, err
}

// expire drops what is due and returns it, and the first error of noting anything.
func (v *volume) expire(present func(digest.Digest) bool, now time.Time) (gone []key, failure error) {
	for base, manifest := range bases(v.root) {
		k, expired, err := v.age(base, present(manifest), now)
		if expired {
			gone = append(gone, k)
		}
		if failure == nil {
			failure = err
		}
	}
	return gone, failure
}

// age notes whether the image of the evidence in a directory is present, and drops it where it has been absent for
// long enough.
func (v *volume) age(base string, present bool, now time.Time) (k key, expired bool, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	known := readPresence(base)
	switch {
	case present:
		return key{}, false, forgetPresence(base)
	case known.Awaited:
		return key{}, false, nil
	case known.AbsentSince.IsZero() || known.AbsentSince.After(now):
		return key{}, false, presence{AbsentSince: now.UTC()}.write(base)
	case now.Sub(known.AbsentSince) < absence:
		return key{}, false, nil
	}
	if _, k, err = recordAt(v.root, base); err != nil {
		// Nobody reads it, and the next start removes it.
		return key{}, false, nil
	}
	v.mu.Lock()
	v.ledger.remove(k)
	v.mu.Unlock()
	v.discard(k)
	return k, true, nil
}
