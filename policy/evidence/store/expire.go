package store

import (
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// retention is how long evidence of an image that is not on this node any more is stored. The image may return: a node
// under disk pressure removes images that its next pod needs.
const retention = 24 * time.Hour

// Location is where evidence is stored.
type Location struct {
	// Manifest is what the evidence is about.
	Manifest digest.Digest
	volume   *volume
	base     string
}

// Locations yields where evidence is stored, or may be.
func (s *Store) Locations() iter.Seq[Location] {
	return func(yield func(Location) bool) {
		for _, v := range s.volumes() {
			for base, manifest := range bases(v.root) {
				if !yield(Location{Manifest: manifest, volume: v, base: base}) {
					return
				}
			}
		}
	}
}

// Expire records whether the image is present, and removes its evidence if it has been absent for a day. Imported
// evidence does not expire before its image has been seen.
func (l Location) Expire(present bool, now time.Time) (removed Removed, expired bool, err error) {
	v := l.volume
	v.writing.Lock()
	defer v.writing.Unlock()
	known := readPresence(l.base)
	switch {
	case present:
		return Removed{}, false, removePresence(l.base)
	case known.Awaited:
		return Removed{}, false, nil
	case known.AbsentSince.IsZero() || known.AbsentSince.After(now):
		return Removed{}, false, presence{AbsentSince: now.UTC()}.write(l.base)
	case now.Sub(known.AbsentSince) < retention:
		return Removed{}, false, nil
	}
	_, k, err := recordAt(v.root, l.base)
	if err != nil {
		// No decision reads it, and the sweep after the next start removes it.
		return Removed{}, false, nil
	}
	v.mu.Lock()
	v.quota.remove(k)
	v.mu.Unlock()
	v.discard(k)
	return Removed{Key: k, volume: v}, true, nil
}
