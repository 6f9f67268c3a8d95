package evidence

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
	record  record
	content content
	// decides says that a decision needs it: it may take the place of any other evidence, and else only of what no
	// decision has used.
	decides bool
	// pinned says that it does not expire before its image has been seen.
	pinned bool
}

// write stores an update. Room is made where the volume is full; the keys whose evidence was evicted are returned even
// with an error. Evidence and pin change under one hold of the lock: what runs between the two, such as the sweep after
// a start, would take the pin for a leftover.
func (v *volume) write(k key, u update) (h *held, evicted []key, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	r := u.record
	if evicted, err = v.makeRoom(k, r.blocks(), u.decides); err != nil {
		return nil, evicted, err
	}
	base := v.path(k)
	v.clearWay(base)
	previous := v.superseded(k, base)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, evicted, fmt.Errorf("keeping evidence: %w", err)
	}
	if u.pinned {
		// Before the record, so that a kill between the two leaves no evidence that expires.
		if err := (presence{Awaited: true}).write(base); err != nil {
			return nil, evicted, err
		}
	}
	files := u.content.files
	h = &held{volume: v}
	if len(files) > 0 {
		if h.directory, err = writeSet(base, files); err != nil {
			return nil, evicted, err
		}
		r.Set = filepath.Base(h.directory)
		h.stamp, err = stampOf(h.directory)
	}
	if err == nil {
		err = writeRecord(base, &r)
	}
	if err != nil {
		removeAll(h.directory)
		return nil, evicted, err
	}
	h.record = r
	v.retire(previous...)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ledger.set(k, r.blocks(), u.decides)
	return h, evicted, nil
}

// pin has stored evidence not expire before its image has been seen, and reports whether it is still what was read:
// what cannot be read is to be written anew.
func (v *volume) pin(h *held) (ok bool, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	base := v.path(h.record.key())
	now, _, err := recordAt(v.root, base)
	if err != nil || now.Set != h.record.Set {
		return false, nil
	}
	return true, presence{Awaited: true}.write(base)
}

// superseded returns the set that a new one replaces. The others in the directory wait for their removal already, and
// there may be thousands, so they are looked for only where no record can be read.
func (v *volume) superseded(k key, base string) []string {
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

// clearWay removes what stands where a directory or a file has to be and is none: what is damaged is absent.
func (v *volume) clearWay(base string) {
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
		return "", fmt.Errorf("keeping signatures: %w", err)
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

// writeRecord puts a record into the place of the one before it.
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
		return fmt.Errorf("keeping evidence: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("closing %s: %w", path, closeErr)
		}
	}()
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("keeping evidence: %w", err)
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

// removeAll removes what is of no use any more. Where that fails, the next start removes it.
func removeAll(path string) {
	if path != "" {
		_ = os.RemoveAll(path)
	}
}

// setsIn returns the sets that lie next to a record, whether it names them or not.
func (v *volume) setsIn(base string) []string {
	sets, err := filepath.Glob(filepath.Join(base, setPrefix+"*"))
	if err != nil {
		return nil
	}
	return sets
}

// makeRoom drops other evidence until there is room for a key's. The caller holds writing.
func (v *volume) makeRoom(k key, size int64, decides bool) ([]key, error) {
	v.mu.Lock()
	evicted, ok := v.ledger.victims(k, size, v.limit, decides)
	v.mu.Unlock()
	for _, victim := range evicted {
		v.discard(victim)
	}
	if !ok {
		return evicted, fmt.Errorf("keeping evidence: there is no room for %d bytes in %s", size, v.root)
	}
	return evicted, nil
}

// drop forgets a key and what is held for it.
func (v *volume) drop(k key) {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	v.ledger.remove(k)
	v.mu.Unlock()
	v.discard(k)
}

// discard removes a key's record at once, so that it is absent, and its files when nobody can be reading them. The
// caller holds writing.
func (v *volume) discard(k key) {
	base := v.path(k)
	removeAll(filepath.Join(base, recordName))
	removeAll(filepath.Join(base, presenceName))
	v.retire(append(v.setsIn(base), base)...)
}

// use notes that a decision used what is held for a key.
func (v *volume) use(k key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ledger.use(k)
}
