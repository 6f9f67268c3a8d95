package evidence

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/store"
)

// Expire removes the evidence of manifests that left this node more than a day ago, and returns of how many. present
// reports whether a manifest or index is on this node; call Expire every hour, and only if that is known. It is stored
// when an image was first seen to be absent, so that a restart does not prolong it.
//
// Imported evidence does not expire before its image has been seen once. The error is the first failure to store
// something, such as a full disk; the next call tries again.
func (k *Keeper) Expire(present func(manifest digest.Digest) bool) (expired int, err error) {
	for location := range k.store.Locations() {
		removed, failure := k.expire(location, present(location.Manifest))
		if removed {
			expired++
		}
		if err == nil {
			err = failure
		}
	}
	return expired, err
}

// expire removes the evidence at a location if it is due, from the store and from memory under one lock: an import
// between the two would be forgotten.
func (k *Keeper) expire(location store.Location, present bool) (expired bool, err error) {
	k.changing.Lock()
	defer k.changing.Unlock()
	removed, expired, err := location.Expire(present, time.Now())
	if expired {
		k.forget([]store.Removed{removed})
	}
	return expired, err
}
