package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// write keeps what was found. Room is made where the volume is full; the keys whose evidence had to go are returned
// even beside an error, for they are gone. A decision's evidence may take the place of any other, other evidence only
// of what no decision has used.
func (v *volume) write(k key, r record, files content, decides bool) (h *held, evicted []key, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	if evicted, err = v.makeRoom(k, r.blocks(), decides); err != nil {
		return nil, evicted, err
	}
	base := v.path(k)
	v.clearWay(base)
	previous := v.setsIn(base)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, evicted, fmt.Errorf("keeping evidence: %w", err)
	}
	h = &held{volume: v}
	if !files.empty() {
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
	v.ledger.set(k, r.blocks(), decides)
	return h, evicted, nil
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
func writeSet(base string, files content) (string, error) {
	directory, err := os.MkdirTemp(base, setPrefix)
	if err != nil {
		return "", fmt.Errorf("keeping signatures: %w", err)
	}
	err = errors.Join(
		writeFiles(directory, files.signatures, signatureName),
		writeFiles(directory, files.bundles, bundleName),
	)
	if err == nil {
		err = syncDirectory(directory)
	}
	if err != nil {
		removeAll(directory)
		return "", err
	}
	return directory, nil
}

func writeFiles(directory string, contents [][]byte, name func(int) string) error {
	for i, content := range contents {
		if err := writeSynced(filepath.Join(directory, name(i)), content); err != nil {
			return err
		}
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

// setsIn returns the sets that lie beside a record, whether it names them or not.
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

// retire has paths removed when nobody can be reading them any more.
func (v *volume) retire(paths ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	due := time.Now().Add(grace)
	for _, path := range paths {
		if !slices.ContainsFunc(v.retired, func(r retired) bool { return r.path == path }) {
			v.retired = append(v.retired, retired{path: path, due: due})
		}
	}
}

// use notes that a decision used what is held for a key.
func (v *volume) use(k key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ledger.use(k)
}

// reap removes what was retired and is due, or everything, and returns when there is more to do; zero: there is not.
func (v *volume) reap(now time.Time, everything bool) time.Time {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	due := v.retired
	if !everything {
		n := slices.IndexFunc(due, func(r retired) bool { return r.due.After(now) })
		if n >= 0 {
			due = due[:n]
		}
	}
	v.retired = slices.Clone(v.retired[len(due):])
	v.mu.Unlock()
	for _, r := range due {
		v.clear(r.path)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.retired) == 0 {
		return time.Time{}
	}
	return v.retired[0].due
}

// clear removes a set, or the directories of a key that are empty by now: it may have come back meanwhile.
func (v *volume) clear(path string) {
	if strings.HasPrefix(filepath.Base(path), setPrefix) {
		removeAll(path)
		return
	}
	for ; len(path) > len(v.root); path = filepath.Dir(path) {
		if os.Remove(path) != nil {
			return
		}
	}
}
