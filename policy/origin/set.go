package origin

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// digests is a set of digests, in no order. Adding and removing costs the same however many there are: anybody can
// push as many indexes of one manifest, and manifests of one config, as they like.
type digests struct {
	list []digest.Digest
	// at says where each is in the list; nil: there are few.
	at map[digest.Digest]int
}

// few is how many digests are not worth a map.
const few = 16

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
	if len(s.list) <= few {
		return
	}
	s.at = make(map[digest.Digest]int, len(s.list))
	for at, d := range s.list {
		s.at[d] = at
	}
}

// remove puts the last digest in the place of one that goes.
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

// index has sets by what they belong to; one that is empty is not in it.
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

// of returns the digests of a key. They are not to be changed.
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
