package write

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// step is one file that is written or removed.
type step struct {
	namespace, path string
	origin          []string
	// hash is that of the new content. It is empty for a file that is removed.
	hash string
	// before is the file that is replaced or removed.
	before state
}

func (s step) removes() bool { return s.hash == "" }

func (s step) temporary() string {
	return filepath.Join(filepath.Dir(s.path), temporaryPrefix+filepath.Base(s.path))
}

// steps are the files of a change in the order in which they are written.
type steps struct{ write, cluster, remove []step }

func (s steps) all() []step { return slices.Concat(s.write, s.cluster, s.remove) }

// inOrder returns steps in the order in which they are taken.
func inOrder(all []step) (ordered steps) {
	slices.SortFunc(all, func(a, b step) int { return cmp.Compare(a.path, b.path) })
	for _, s := range all {
		switch {
		case s.namespace == "":
			ordered.cluster = append(ordered.cluster, s)
		case s.removes():
			ordered.remove = append(ordered.remove, s)
		default:
			ordered.write = append(ordered.write, s)
		}
	}
	return ordered
}

// plan compares a document with what is on disk. There is no step if nothing is to be done.
func (w *Writer) plan(namespace string, document Document) (planned *step, conflict *Conflict, err error) {
	s := step{namespace: namespace, path: w.path(namespace), origin: document.Origin}
	if document.JSON != nil {
		s.hash = Hash(document.JSON)
	}
	if s.before, err = w.look(s.path); err != nil {
		return nil, nil, err
	}
	switch {
	case s.before.exists() && !s.before.ours:
		if s.removes() {
			return nil, nil, nil
		}
		return nil, &Conflict{Namespace: namespace, Path: s.path}, nil
	case w.upToDate(s):
		return nil, nil, nil
	default:
		return &s, nil, nil
	}
}

// upToDate reports whether a file and its entry in the list are what they should be.
func (w *Writer) upToDate(s step) bool {
	file, listed := w.list.Files[s.path]
	if s.removes() {
		return !s.before.exists() && !listed
	}
	return s.before.exists() && s.before.hash == s.hash && len(file.Hashes) == 1 && slices.Equal(file.Origin, s.origin)
}

// state is a file on disk.
type state struct {
	// info is nil if there is none.
	info os.FileInfo
	ours bool
	hash string
}

func (s state) exists() bool { return s.info != nil }

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
		return state{info: info}, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return state{}, err
	}
	hash := Hash(raw)
	return state{info: info, ours: slices.Contains(w.list.Files[path].Hashes, hash), hash: hash}, nil
}

// isStill reports whether a file is the one that was looked at.
func (s state) isStill(path string) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return !s.exists() && errors.Is(err, fs.ErrNotExist)
	}
	return s.exists() && os.SameFile(s.info, info) && s.info.ModTime().Equal(info.ModTime()) &&
		s.info.Size() == info.Size()
}
