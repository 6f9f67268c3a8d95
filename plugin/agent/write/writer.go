package write

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Target is where documents are written.
type Target struct {
	// Directory is for the documents of namespaces.
	Directory string
	// Cluster is the file for the document of namespaces without one of their own.
	Cluster string
	// State is the directory for the list of files.
	State string
}

// Document is a document to write.
type Document struct {
	// JSON is its content. Nil: there shall be no document.
	JSON []byte
	// Origin says what the document was made from. It is returned by [Writer.Namespaces], also after a restart.
	Origin []string
}

// Change is what to write. Documents that are not mentioned stay.
type Change struct {
	Namespaces map[string]Document
	// Cluster is the document of namespaces without one of their own. Nil: it stays.
	Cluster *Document
}

// Conflict is a file that somebody else has written where a document should be.
type Conflict struct {
	// Namespace is the document's namespace. It is empty for the cluster's document.
	Namespace string
	Path      string
}

// Written is a document that was written.
type Written struct {
	Hash   string
	Origin []string
}

// Writer writes documents. Create one with [Open]. It is for one goroutine.
type Writer struct {
	target Target
	disk   disk
	list   list
	staged *staged
}

// Open reads the list of files that earlier processes have written. It changes no document. There must be one writer
// for a target at a time.
func Open(target Target) (*Writer, error) { return open(target, disk{}) }

func open(target Target, disk disk) (*Writer, error) {
	w := &Writer{target: target, disk: disk, staged: newStaged()}
	for _, directory := range []string{target.Directory, filepath.Dir(target.Cluster)} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(target.State, 0o700); err != nil {
		return nil, err
	}
	var err error
	w.list, err = readList(w.listPath())
	if err != nil {
		return nil, fmt.Errorf("reading which files the agent has written: %w", err)
	}
	for _, directory := range []string{target.Directory, filepath.Dir(target.Cluster), target.State} {
		removeTemporary(directory)
	}
	return w, nil
}

func (w *Writer) listPath() string { return filepath.Join(w.target.State, "files.json") }

func (w *Writer) path(namespace string) string {
	if namespace == "" {
		return w.target.Cluster
	}
	return filepath.Join(w.target.Directory, namespace+".json")
}

// Hash returns the hash of a document, as in [Written].
func Hash(document []byte) string {
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// Namespaces returns the documents that are on disk as they were written, by namespace. The cluster's has no name.
func (w *Writer) Namespaces() map[string]Written {
	found := map[string]Written{}
	for path, file := range w.list.Files {
		namespace, ours := w.namespace(path)
		if state, err := w.look(path); ours && err == nil && state.ours {
			found[namespace] = Written{Hash: state.hash, Origin: file.Origin}
		}
	}
	return found
}

// namespace returns the namespace whose document has this path.
func (w *Writer) namespace(path string) (string, bool) {
	if path == w.target.Cluster {
		return "", true
	}
	name, ok := strings.CutSuffix(filepath.Base(path), ".json")
	return name, ok && filepath.Dir(path) == w.target.Directory
}

// Read returns the document that governs a namespace, or nil if there is none: its own, or else the cluster's.
func (w *Writer) Read(namespace string) ([]byte, error) {
	for _, path := range []string{w.path(namespace), w.target.Cluster} {
		raw, err := os.ReadFile(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return raw, err
		}
	}
	return nil, nil
}

// Apply puts the staged documents in place, and writes and removes those of the change. A conflict is not an error: the
// other documents are written. After an error about the document of a namespace, those of other namespaces are in
// place, and nothing is removed.
func (w *Writer) Apply(change Change) ([]Conflict, error) {
	for namespace, document := range change.Namespaces {
		w.Stage(namespace, document)
	}
	if change.Cluster != nil {
		w.Stage("", *change.Cluster)
	}
	staged := w.staged
	w.staged = newStaged()
	ready, failed := staged.wait()
	slices.SortFunc(staged.conflicts, func(a, b Conflict) int { return cmp.Compare(a.Namespace, b.Namespace) })
	if failed != nil {
		failed = fmt.Errorf("writing documents: %w", failed)
		ready.cluster, ready.remove = nil, nil
	}
	err := errors.Join(failed, w.takeAll(ready))
	if err != nil {
		staged.discard()
	}
	return staged.conflicts, err
}

// takeAll puts documents in place and removes others. It writes the list of files before, with the old and the new
// hashes, and after, with the new ones.
func (w *Writer) takeAll(ready steps) error {
	if len(ready.all()) == 0 {
		return nil
	}
	if err := w.intend(ready.all()); err != nil {
		return fmt.Errorf("recording which files the agent is about to write: %w", err)
	}
	for _, phase := range [][]step{ready.write, ready.cluster, ready.remove} {
		if err := w.take(phase); err != nil {
			return fmt.Errorf("writing documents: %w", err)
		}
	}
	if err := w.finish(ready.all()); err != nil {
		return fmt.Errorf("recording which files the agent has written: %w", err)
	}
	return nil
}

// take renames into place or removes the files of one phase, and syncs their directories.
func (w *Writer) take(phase []step) error {
	var failed []error
	directories := map[string]bool{}
	for _, s := range phase {
		directories[filepath.Dir(s.path)] = true
		if err := w.disk.take(s); err != nil {
			failed = append(failed, err)
		}
	}
	for _, directory := range slices.Sorted(maps.Keys(directories)) {
		failed = append(failed, w.disk.sync(directory))
	}
	return errors.Join(failed...)
}
