package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/countersign/countersign/policy/evidence/format"
)

// update is what [volume.write] stores for a key.
type update struct {
	content Content
	// rank is that of the evidence: it is stored in place of evidence of the same rank or a lower one.
	rank rank
	// pinned reports whether it does not expire before its image has been seen.
	pinned bool
}

// write stores an update. If the volume is full it makes room, and returns the keys whose evidence was evicted, even
// with an error. Evidence and pin change under one lock: the sweep after a start, between the two, would take the pin
// for a leftover.
func (v *volume) write(k Key, u update) (set *Set, evicted []Key, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	r := newRecord(k, u.content)
	if evicted, err = v.makeRoom(k, r.blocks(), u.rank); err != nil {
		return nil, evicted, err
	}
	base := v.path(k)
	v.removeObstacles(base)
	previous := v.previousSets(k, base)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, evicted, fmt.Errorf("storing evidence: %w", err)
	}
	if u.pinned {
		// Before the record, so that a kill between the two leaves no evidence that expires.
		if err := (presence{Awaited: true}).write(base); err != nil {
			return nil, evicted, err
		}
	}
	files := u.content.Files
	set = &Set{volume: v}
	if len(files) > 0 {
		if set.directory, err = writeSet(base, files); err != nil {
			return nil, evicted, err
		}
		r.Set = filepath.Base(set.directory)
		set.stamp, err = stampOf(set.directory)
	}
	if err == nil {
		err = writeRecord(base, &r)
	}
	if err != nil {
		removeAll(set.directory)
		return nil, evicted, err
	}
	set.record = r
	v.supersede(previous...)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.quota.set(k, r.blocks(), u.rank)
	return set, evicted, nil
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

// previousSets returns the set that a new one replaces. The others in the directory are pending removal already, and
// there may be thousands, so they are listed only if no record can be read.
func (v *volume) previousSets(k Key, base string) []string {
	raw, err := readFile(filepath.Join(base, recordName), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		if r, err := parseRecord(raw, k); err == nil {
			if r.Set == "" {
				return nil
			}
			return []string{filepath.Join(base, r.Set)}
		}
	}
	return v.setsIn(base)
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

// writeSet writes signatures and bundles into a new directory that no record names yet.
func writeSet(base string, files []format.File) (string, error) {
	directory, err := os.MkdirTemp(base, setPrefix)
	if err != nil {
		return "", fmt.Errorf("storing evidence: %w", err)
	}
	if err = writeFiles(directory, files); err == nil {
		err = syncDirectory(directory)
	}
	if err != nil {
		removeAll(directory)
		return "", err
	}
	return directory, nil
}

func writeFiles(directory string, files []format.File) error {
	written := map[format.Kind]int{}
	for _, file := range files {
		name := file.Kind.Name(written[file.Kind])
		if err := writeSynced(filepath.Join(directory, name), file.Bytes); err != nil {
			return err
		}
		written[file.Kind]++
	}
	return nil
}

// writeRecord replaces the record in a directory.
func writeRecord(base string, r *record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	temporary := filepath.Join(base, temporaryPrefix+recordName)
	if err := writeSynced(temporary, append(raw, '\n')); err != nil {
		removeAll(temporary)
		return err
	}
	if err := os.Rename(temporary, filepath.Join(base, recordName)); err != nil {
		removeAll(temporary)
		return fmt.Errorf("replacing a record: %w", err)
	}
	return syncDirectory(base)
}

func writeSynced(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("storing evidence: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("closing %s: %w", path, closeErr)
		}
	}()
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("storing evidence: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

// removeAll removes what is no longer needed. If that fails, the next start removes it.
func removeAll(path string) {
	if path != "" {
		_ = os.RemoveAll(path)
	}
}

// setsIn returns the sets in the directory of a key, whether its record names them or not.
func (v *volume) setsIn(base string) []string {
	sets, err := filepath.Glob(filepath.Join(base, setPrefix+"*"))
	if err != nil {
		return nil
	}
	return sets
}

// makeRoom evicts other evidence until there is room for a key's. The caller holds writing.
func (v *volume) makeRoom(k Key, size int64, of rank) ([]Key, error) {
	v.mu.Lock()
	evicted, ok := v.quota.evict(k, size, v.limit, of)
	v.mu.Unlock()
	for _, victim := range evicted {
		v.discard(victim)
	}
	if !ok {
		return evicted, fmt.Errorf("storing evidence: there is no room for %d bytes in %s", size, v.root)
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
