package store

import (
	"errors"
	"time"

	"github.com/countersign/countersign/policy/evidence/format"
)

// addSatisfied adds files to those that met a requirement, unless the set has been replaced.
func (v *volume) addSatisfied(s *Set, files []format.File) (set *Set, evicted []Key, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	k := s.record.key()
	base := v.path(k)
	before, previous := v.recordOf(k, base)
	if before.Outcome == "" || before.Set != s.record.Set {
		return nil, nil, ErrReplaced
	}
	all := before.Satisfied.with(base, files)
	set = &Set{record: before, volume: v, files: s.files}
	set.record.Satisfied = newFileSet(all)
	if evicted, err = v.makeRoom(k, &set.record, true); err != nil {
		return nil, evicted, err
	}
	if err := set.writeSatisfied(base, &before.Satisfied, all); err != nil {
		return nil, evicted, err
	}
	v.replaced(base, previous, set)
	v.count(&set.record, true)
	return set, evicted, nil
}

// ErrReplaced reports that evidence has been replaced or removed since it was read.
var ErrReplaced = errors.New("the evidence has been replaced")

// writeSatisfied writes the files that met a requirement, unless these are stored already, and then the record.
func (s *Set) writeSatisfied(base string, before *fileSet, files []format.File) (err error) {
	// Once it has been reduced, the set has no other files.
	reduced := before.Set != "" && s.record.Set == before.Set
	written := ""
	s.record.Satisfied.Set = before.Set
	if s.satisfied, err = openDirectory(base, &s.record.Satisfied); err != nil || !s.record.Satisfied.lists(before) {
		if s.satisfied, err = writeSet(base, files); err != nil {
			return err
		}
		written = s.satisfied.path
		s.record.Satisfied.Set = s.satisfied.name()
	}
	if reduced {
		s.record.fileSet, s.files = s.record.Satisfied, s.satisfied
	}
	if err := writeRecord(base, &s.record); err != nil {
		removeAll(written)
		return err
	}
	return nil
}

// reduce removes all files of a key but those that met a requirement. If that fails, they stay. The caller holds
// writing.
func (v *volume) reduce(k Key) {
	base := v.path(k)
	before, previous := v.recordOf(k, base)
	if before.Satisfied.Set == "" {
		v.discard(k)
		return
	}
	set := &Set{record: before}
	set.record.fileSet = before.Satisfied
	set.record.Outcome, set.record.Imported = "found", time.Time{}
	set.record.Omitted = "what met no requirement was removed, because the evidence store is full"
	// So that the next fetch reads them in full.
	set.record.Sources = nil
	if writeRecord(base, &set.record) == nil {
		v.replaced(base, previous, set)
	}
}
