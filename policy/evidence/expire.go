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
		var failure error
		for base, manifest := range bases(v.root) {
			gone, failed := k.expire(v, base, present(manifest))
			if gone {
				expired++
			}
			if failure == nil {
				failure = failed
			}
		}
		err = errors.Join(err, failure)
	}
	return expired, err
}

// expire drops the evidence in a directory if it is due, on disk and from memory under one hold of the lock: an import
// between the two would be forgotten.
func (k *Keeper) expire(v *volume, base string, present bool) (gone bool, err error) {
	k.changing.Lock()
	defer k.changing.Unlock()
	dropped, gone, err := v.age(base, present, time.Now())
	if gone {
		k.forget(v, []key{dropped})
	}
	return gone, err
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
