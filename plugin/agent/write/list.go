package write

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// listVersion is the format of the list. An agent that does not know the format of a list writes nothing.
const listVersion = 1

// list is the list of files that were written, by path.
type list struct {
	Version int             `json:"version"`
	Files   map[string]file `json:"files"`
}

// file is a file that was written.
type file struct {
	// Hashes are those of the contents that the file may have: two while it is being replaced.
	Hashes []string `json:"hashes"`
	Origin []string `json:"origin,omitempty"`
}

func readList(path string) (list, error) {
	empty := list{Version: listVersion, Files: map[string]file{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return list{}, err
	}
	read := empty
	if err := json.Unmarshal(raw, &read); err != nil {
		return list{}, fmt.Errorf("%s: %w", path, err)
	}
	if read.Version != listVersion || read.Files == nil {
		return list{}, fmt.Errorf("%s has format version %d; this agent reads version %d", path, read.Version, listVersion)
	}
	return read, nil
}

// intend records files that are about to be written.
func (w *Writer) intend(all []step) error {
	files := maps.Clone(w.list.Files)
	for _, s := range all {
		entry := file{Origin: s.origin}
		if s.before.exists() {
			entry.Hashes = append(entry.Hashes, s.before.hash)
		}
		if s.removes() {
			entry.Origin = w.list.Files[s.path].Origin
		} else if s.hash != s.before.hash {
			entry.Hashes = append(entry.Hashes, s.hash)
		}
		files[s.path] = entry
	}
	return w.record(files)
}

// finish records files that were written.
func (w *Writer) finish(all []step) error {
	files := maps.Clone(w.list.Files)
	for _, s := range all {
		if s.removes() {
			delete(files, s.path)
			continue
		}
		files[s.path] = file{Hashes: []string{s.hash}, Origin: s.origin}
	}
	return w.record(files)
}

func (w *Writer) record(files map[string]file) error {
	next := list{Version: listVersion, Files: files}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	// The list counts from now on: if writing it fails, it may be on disk all the same, and it has both hashes.
	path := w.listPath()
	if err := w.disk.replace(path, raw); err != nil {
		return err
	}
	w.list = next
	return w.disk.sync(filepath.Dir(path))
}

// Missing returns the namespaces whose documents are not on disk as they were written, and not somebody else's. The
// cluster's has no name.
func (w *Writer) Missing() []string {
	var missing []string
	for path := range w.list.Files {
		namespace, ok := w.namespace(path)
		if _, err := os.Lstat(path); ok && errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, namespace)
		}
	}
	slices.Sort(missing)
	return missing
}

// Lists reports whether a document was written and not removed. The cluster's has no name.
func (w *Writer) Lists(namespace string) bool {
	_, ok := w.list.Files[w.path(namespace)]
	return ok
}

// Listed returns the number of files that were written and not removed.
func (w *Writer) Listed() int { return len(w.list.Files) }
