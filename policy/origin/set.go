package origin

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// digests is an unordered set of digests. Adding and removing take constant time, because anybody can push any number
// of indexes of a manifest, and manifests of a config.
type digests struct {
	list []digest.Digest
	// at is the position of each digest in the list; nil for a small set.
	at map[digest.Digest]int
}

// maxLinear is the size of the largest set that is searched without a map.
const maxLinear = 16

func (s *digests) find(d digest.Digest) int {
	if s.at == nil {
		return slices.Index(s.list, d)
	}
	if at, ok := s.at[d]; ok {
		return at
	}
	return -1
}

func (s *digests) contains(d digest.Digest) bool { return s.find(d) >= 0 }

func (s *digests) add(d digest.Digest) {
	if s.contains(d) {
		return
	}
	s.list = append(s.list, d)
	if s.at != nil {
		s.at[d] = len(s.list) - 1
		return
	}
	if len(s.list) <= maxLinear {
		return
	}
	s.at = make(map[digest.Digest]int, len(s.list))
	for at, d := range s.list {
		s.at[d] = at
	}
}

// remove replaces the removed digest with the last one.
func (s *digests) remove(d digest.Digest) {
	at := s.find(d)
	if at < 0 {
		return
	}
	end := len(s.list) - 1
	moved := s.list[end]
	s.list[at] = moved
	s.list[end] = ""
	s.list = s.list[:end]
	if s.at != nil {
		s.at[moved] = at
		delete(s.at, d)
	}
}

// index maps keys to sets. An empty set has no entry.
type index[K comparable] map[K]*digests

func (x index[K]) add(key K, d digest.Digest) {
	if x[key] == nil {
		x[key] = &digests{}
	}
	x[key].add(d)
}

func (x index[K]) remove(key K, d digest.Digest) {
	s := x[key]
	if s == nil {
		return
	}
	if s.remove(d); len(s.list) == 0 {
		delete(x, key)
	}
}

// of returns the digests of a key, which must not be changed.
func (x index[K]) of(key K) []digest.Digest {
	if s := x[key]; s != nil {
		return s.list
	}
	return nil
}

func (x index[K]) contains(key K, d digest.Digest) bool {
	s := x[key]
	return s != nil && s.contains(d)
}
