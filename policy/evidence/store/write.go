package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/countersign/countersign/policy/evidence/format"
)

// update is what [volume.write] stores for a key.
type update struct {
	content Content
	// needed reports whether a decision needs it: it may then replace evidence that decisions have used.
	needed bool
	// pinned reports whether it does not expire before its image has been seen.
	pinned bool
}

// write stores an update, and adds its satisfied files to the stored ones. If the volume is full it evicts other
// evidence, and returns the evicted keys, even with an error. Evidence and pin change under one lock: otherwise the
// sweep after a start could remove the pin as a leftover.
func (v *volume) write(k Key, u update) (set *Set, evicted []Key, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	base := v.path(k)
	before, previous := v.recordOf(k, base)
	u.content.Satisfied = before.Satisfied.with(base, u.content.Satisfied)
	r := newRecord(k, u.content)
	if evicted, err = v.makeRoom(k, &r, u.needed); err != nil {
		return nil, evicted, err
	}
	v.removeObstacles(base)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, evicted, fmt.Errorf("storing evidence: %w", err)
	}
	if u.pinned {
		// Before the record, so that a kill between the two leaves no evidence that expires.
		if err := (presence{Awaited: true}).write(base); err != nil {
			return nil, evicted, err
		}
	}
	set = &Set{record: r, volume: v}
	if set.files, err = writeSet(base, u.content.Files); err == nil {
		set.record.Set = set.files.name()
		err = set.writeSatisfied(base, &before.Satisfied, u.content.Satisfied)
	}
	if err != nil {
		removeAll(set.files.path)
		return nil, evicted, err
	}
	v.replaced(base, previous, set)
	v.count(&set.record, u.needed)
	return set, evicted, nil
}

// count enters how much a record and its files take.
func (v *volume) count(r *record, needed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.quota.set(r.key(), usageOf(r, needed))
}

// pin has stored evidence not expire before its image has been seen, and reports whether it is still what was read. If
// it cannot be read, it has to be written again.
func (v *volume) pin(s *Set) (ok bool, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	base := v.path(s.record.key())
	now, _, err := recordAt(v.root, base)
	if err != nil || now.Set != s.record.Set {
		return false, nil
	}
	return true, presence{Awaited: true}.write(base)
}

// recordOf returns the record of a key, or an empty one, and the paths of its sets. Sets are listed only if no record
// can be read, because thousands of other sets may be pending removal in the directory.
func (v *volume) recordOf(k Key, base string) (r record, sets []string) {
	if _, err := stampOf(base); err != nil {
		return record{}, nil
	}
	raw, err := readFile(filepath.Join(base, recordName), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err == nil {
		if r, err = parseRecord(raw, k); err == nil {
			for _, name := range []string{r.Set, r.Satisfied.Set} {
				if name != "" {
					sets = append(sets, filepath.Join(base, name))
				}
			}
			return r, sets
		}
	}
	return record{}, v.setsIn(base)
}

// replaced has sets removed that are not those of the set that replaces them.
func (v *volume) replaced(base string, sets []string, by *Set) {
	v.supersede(slices.DeleteFunc(sets, func(path string) bool {
		return path == filepath.Join(base, by.record.Set) || path == filepath.Join(base, by.record.Satisfied.Set)
	})...)
}

// removeObstacles removes what is in the place of a directory and is none, or in the place of a file.
func (v *volume) removeObstacles(base string) {
	for path := base; len(path) > len(v.root); path = filepath.Dir(path) {
		if info, err := os.Lstat(path); err == nil && !info.IsDir() {
			removeAll(path)
		}
	}
	for _, name := range []string{recordName, temporaryPrefix + recordName} {
		path := filepath.Join(base, name)
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			removeAll(path)
		}
	}
}

// writeSet writes files into a new directory that no record names yet. Without files there is none.
func writeSet(base string, files []format.File) (d directory, err error) {
	if len(files) == 0 {
		return directory{}, nil
	}
	if d.path, err = os.MkdirTemp(base, setPrefix); err != nil {
		return directory{}, fmt.Errorf("storing evidence: %w", err)
	}
	if err = writeFiles(d.path, files); err == nil {
		err = syncDirectory(d.path)
	}
	if err == nil {
		d.stamp, err = stampOf(d.path)
	}
	if err != nil {
		removeAll(d.path)
		return directory{}, err
	}
	return d, nil
}

// setsIn returns the sets in the directory of a key, whether its record names them or not.
func (v *volume) setsIn(base string) []string {
	sets, err := filepath.Glob(filepath.Join(base, setPrefix+"*"))
	if err != nil {
		return nil
	}
	return sets
}

// makeRoom evicts other evidence until there is space for a record and its files. The caller holds writing.
func (v *volume) makeRoom(k Key, r *record, needed bool) (evicted []Key, err error) {
	size := usageOf(r, needed).size
	v.mu.Lock()
	victims, ok := v.quota.evict(k, size, v.limit, needed)
	v.mu.Unlock()
	for _, victim := range victims {
		if evicted = append(evicted, victim.key); victim.reduced {
			v.reduce(victim.key)
		} else {
			v.discard(victim.key)
		}
	}
	if !ok {
		return evicted, fmt.Errorf("storing evidence: there is no space for %d bytes in %s", size, v.root)
	}
	return evicted, nil
}

// remove removes what is stored for a key.
func (v *volume) remove(k Key) {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	v.quota.remove(k)
	v.mu.Unlock()
	v.discard(k)
}

// discard removes a key's record at once, so that it is absent, and its files when no decision can be reading them. The
// caller holds writing.
func (v *volume) discard(k Key) {
	base := v.path(k)
	removeAll(filepath.Join(base, recordName))
	removeAll(filepath.Join(base, presenceName))
	v.supersede(append(v.setsIn(base), base)...)
}
