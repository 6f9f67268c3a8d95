package write

import (
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
	"sync"
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
}

// Open reads the list of files that earlier processes have written. It changes no document. There must be one writer
// for a target at a time.
func Open(target Target) (*Writer, error) { return open(target, disk{}) }

func open(target Target, disk disk) (*Writer, error) {
	w := &Writer{target: target, disk: disk}
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

// Apply writes and removes documents. Conflicts are no error: everything else is written.
func (w *Writer) Apply(change Change) ([]Conflict, error) {
	steps, conflicts, err := w.plan(change)
	if err != nil {
		return nil, fmt.Errorf("comparing documents with those on disk: %w", err)
	}
	if len(steps.all()) == 0 {
		return conflicts, nil
	}
	if err := w.intend(steps.all()); err != nil {
		return nil, fmt.Errorf("recording which files the agent is about to write: %w", err)
	}
	for _, phase := range [][]step{steps.write, steps.cluster, steps.remove} {
		if err := w.take(phase); err != nil {
			return conflicts, fmt.Errorf("writing documents: %w", err)
		}
	}
	if err := w.finish(steps.all()); err != nil {
		return conflicts, fmt.Errorf("recording which files the agent has written: %w", err)
	}
	return conflicts, nil
}

// parallel is how many files are written at once: what takes the time is waiting for the disk, which makes several
// files durable as fast as one.
const parallel = 16

// take writes and removes the files of one phase, and makes it durable.
func (w *Writer) take(phase []step) error {
	failed := make([]error, len(phase))
	directories := map[string]bool{}
	slots := make(chan struct{}, parallel)
	var running sync.WaitGroup
	for i, s := range phase {
		directories[filepath.Dir(s.path)] = true
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			failed[i] = w.disk.take(s)
		})
	}
	running.Wait()
	for _, directory := range slices.Sorted(maps.Keys(directories)) {
		failed = append(failed, w.disk.sync(directory))
	}
	return errors.Join(failed...)
}
