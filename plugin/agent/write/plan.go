package write

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// step is one file that is written or removed.
type step struct {
	path     string
	document Document
	isNew    bool
	// before is the hash of the file that is replaced.
	before string
}

// steps are the files of a change in the order in which they are written.
type steps struct{ write, cluster, remove []step }

func (s steps) all() []step { return slices.Concat(s.write, s.cluster, s.remove) }

// plan compares a change with what is on disk.
func (w *Writer) plan(change Change) (planned steps, conflicts []Conflict, err error) {
	documents := maps.Clone(change.Namespaces)
	if documents == nil {
		documents = map[string]Document{}
	}
	if change.Cluster != nil {
		documents[""] = *change.Cluster
	}
	for _, namespace := range slices.Sorted(maps.Keys(documents)) {
		s := step{path: w.path(namespace), document: documents[namespace]}
		current, err := w.look(s.path)
		if err != nil {
			return steps{}, nil, err
		}
		s.isNew, s.before = !current.exists, current.hash
		switch {
		case current.exists && !current.ours:
			if s.document.JSON != nil {
				conflicts = append(conflicts, Conflict{Namespace: namespace, Path: s.path})
			}
		case w.upToDate(s, current):
		case namespace == "":
			planned.cluster = append(planned.cluster, s)
		case s.document.JSON == nil:
			planned.remove = append(planned.remove, s)
		default:
			planned.write = append(planned.write, s)
		}
	}
	return planned, conflicts, nil
}

// upToDate reports whether a file and its entry in the list are what they should be.
func (w *Writer) upToDate(s step, current state) bool {
	file, listed := w.list.Files[s.path]
	if s.document.JSON == nil {
		return !current.exists && !listed
	}
	return current.exists && current.hash == Hash(s.document.JSON) && len(file.Hashes) == 1 &&
		slices.Equal(file.Origin, s.document.Origin)
}

// state is a file on disk.
type state struct {
	exists, ours bool
	hash         string
}

// look compares a file with the list.
func (w *Writer) look(path string) (state, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	if !info.Mode().IsRegular() {
		return state{exists: true}, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return state{}, err
	}
	hash := Hash(raw)
	return state{exists: true, ours: slices.Contains(w.list.Files[path].Hashes, hash), hash: hash}, nil
}
