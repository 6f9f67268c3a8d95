package journal

import (
	"fmt"
	"slices"
)

// Label describes an installation.
type Label struct {
	// Version is the version of the program that made the last change.
	Version string `json:"version"`
	// Mode is the mode that was installed.
	Mode string `json:"mode"`
}

// Record has what transactions have changed, with the original states.
type Record struct {
	Label
	Entries []Entry `json:"entries"`
}

// Entry is a path that was changed.
type Entry struct {
	Path string `json:"path"`
	// Original is the state before the first transaction, Written the one after the last.
	Original *state `json:"original"`
	Written  *state `json:"written"`
}

// Directory reports whether the path is a directory that a transaction has made.
func (e Entry) Directory() bool { return e.Written != nil && e.Written.Kind == Directory }

// Record returns the record; it is empty if nothing was installed.
func (j *Journal) Record() (*Record, error) {
	record := &Record{}
	_, err := j.readJSON(recordName, record)
	return record, err
}

// Unchanged reports whether the path's current state is the one that was written last.
func (e Entry) Unchanged(current *File) bool { return e.Written.is(current) }

// Original returns the state that a path had before the first transaction.
func (j *Journal) Original(e Entry) (*File, error) { return j.load(e.Original) }

// add records the changes of a transaction. A path that has its original state again is not recorded any more.
func (r *Record) add(t *Transaction, label Label, made []Change) error {
	r.Label = label
	for _, change := range made {
		before := slices.IndexFunc(t.before, func(b Change) bool { return b.Path == change.Path })
		if before < 0 {
			return fmt.Errorf("%s was not part of the transaction", change.Path)
		}
		known := slices.IndexFunc(r.Entries, func(e Entry) bool { return e.Path == change.Path })
		if known < 0 {
			known = len(r.Entries)
			r.Entries = append(r.Entries, Entry{Path: change.Path, Original: stateOf(t.before[before].File)})
		}
		r.Entries[known].Written = stateOf(change.File)
		if r.Entries[known].Original.is(change.File) {
			r.Entries = slices.Delete(r.Entries, known, known+1)
		}
	}
	return nil
}

// Clear removes what a process has left that was killed before its transaction began.
func (j *Journal) Clear() error { return j.clear() }
