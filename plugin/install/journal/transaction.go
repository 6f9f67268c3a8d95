package journal

import (
	"errors"
	"path/filepath"
	"slices"
)

// Transaction is a set of changes that are made completely or not at all.
type Transaction struct {
	journal *Journal
	changes []Change
	before  []Change
	record  *Record
}

// Begin starts a transaction. The changes are made in their order; the directories of new files must be among them, or
// exist.
func (j *Journal) Begin(changes []Change) (*Transaction, error) {
	record, err := j.Record()
	if err != nil {
		return nil, err
	}
	t := &Transaction{journal: j, changes: changes, record: record}
	for _, change := range changes {
		file, err := j.host.Read(change.Path)
		if err != nil {
			return nil, err
		}
		t.before = append(t.before, Change{change.Path, file})
	}
	previous, err := j.host.Read(j.path(recordName))
	if err != nil {
		return nil, err
	}
	// The record changes with the files. It is restored last.
	t.before = append([]Change{{j.path(recordName), previous}}, t.before...)
	return t, j.start(false, t.before, nil)
}

// Apply makes the next changes, as many as n. If it fails, call [Transaction.RollBack].
func (t *Transaction) Apply(n int) error {
	for _, change := range t.changes[:n] {
		if err := t.journal.host.Set(change); err != nil {
			return err
		}
	}
	t.changes = t.changes[n:]
	return nil
}

// Commit completes a transaction whose changes have all been made. The label is stored with the record.
func (t *Transaction) Commit(label Label, made []Change) error {
	if err := t.record.add(t, label, made); err != nil {
		return err
	}
	if err := t.journal.writeJSON(recordName, t.record); err != nil {
		return err
	}
	return t.journal.end(t.record)
}

// RollBack restores the state before the transaction.
func (t *Transaction) RollBack() error { return t.journal.Recover() }

// Interrupted returns the paths of a transaction that was not completed, and whether it is a removal.
func (j *Journal) Interrupted() (paths []string, removal bool, err error) {
	var doc document
	found, err := j.readJSON(journalName, &doc)
	if err != nil || !found {
		return nil, false, err
	}
	for _, e := range doc.Entries {
		paths = append(paths, e.Path)
	}
	return paths, doc.Removal, nil
}

// Recover undoes a transaction that was not completed, or completes a removal. It removes what was left of a completed
// one. If it is interrupted, it can be repeated.
func (j *Journal) Recover() error {
	var doc document
	found, err := j.readJSON(journalName, &doc)
	if err != nil {
		return err
	}
	if err := j.discard([]entry{{Path: j.path(recordName)}, {Path: j.path(contentName, "x")}}); err != nil {
		return err
	}
	if !found {
		record, err := j.Record()
		if err != nil {
			return err
		}
		return j.end(record)
	}
	if err := j.discard(doc.Entries); err != nil {
		return err
	}
	if doc.Removal {
		if err := j.restore(doc.Entries); err != nil {
			return err
		}
		return j.removeTrees(doc.Trees)
	}
	slices.Reverse(doc.Entries)
	if err := j.restore(doc.Entries); err != nil {
		return err
	}
	record, err := j.Record()
	if err != nil {
		return err
	}
	return j.end(record)
}

// restore gives each path the state of its entry, unless it has that state.
func (j *Journal) restore(entries []entry) error {
	var failed error
	for _, e := range entries {
		current, err := j.host.Read(e.Path)
		if err == nil && e.State.is(current) {
			continue
		}
		file, err := j.load(e.State)
		if err == nil {
			err = j.host.Set(Change{e.Path, file})
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// end removes the journal, which completes a transaction, and then the contents that the record does not name.
func (j *Journal) end(record *Record) error {
	if err := j.host.Set(Change{Path: j.path(journalName)}); err != nil {
		return err
	}
	if len(record.Entries) == 0 {
		return j.clear()
	}
	named := map[string]bool{}
	for _, e := range record.Entries {
		if e.Original != nil {
			named[e.Original.Contents] = true
		}
	}
	names, err := j.host.Names(j.path(contentName))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !named[name] {
			err = errors.Join(err, j.host.Set(Change{Path: j.path(contentName, name)}))
		}
	}
	return err
}

// clear removes the state directory, the journal last, and the directory above it if that is empty. From its first
// change on, nothing is left to restore.
func (j *Journal) clear() error {
	if err := j.forget(); err != nil {
		return err
	}
	names, err := j.host.Names(j.path(contentName))
	if err != nil {
		return err
	}
	var paths []string
	for _, name := range names {
		paths = append(paths, j.path(contentName, name))
	}
	above := filepath.Dir(j.directory)
	paths = append(paths, j.path(contentName), j.path(recordName), j.path(temporary), j.path(journalName), j.directory,
		filepath.Join(above, temporary), above)
	for _, path := range paths {
		if err := j.host.Set(Change{Path: path}); err != nil {
			return err
		}
	}
	return nil
}

// forget empties a journal: the contents that it names can be removed then.
func (j *Journal) forget() error {
	found, err := j.host.Read(j.path(journalName))
	if err != nil || found == nil {
		return err
	}
	return j.writeJSON(journalName, document{Removal: true})
}
