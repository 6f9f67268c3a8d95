package store

import (
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
)

// Content is what is stored for a key.
type Content struct {
	// Files are the signatures and bundles, imported ones last. It is empty if a registry was asked and has none.
	Files []format.File
	// Satisfied are the files that met a requirement. The store adds them to those that it has.
	Satisfied []format.File
	Sources   []format.SourceState
	// Predicates are the predicate types of which attestations were looked for.
	Predicates []string
	// Detail describes what could not be read, and why; Omitted what exceeded the limits.
	Detail, Omitted string
	// Lookaside names the lookaside that was asked, or reports that none is configured. It is empty if that is unknown.
	Lookaside string
	// Unusable reports whether some source has something that can never be read, and no source has anything usable.
	Unusable bool
	// FetchedAt is when the registry answered, and ImportedAt when something was last imported; zero: never.
	FetchedAt, ImportedAt time.Time
}

// Set is what a store has for a key: a record, and the directory that contains the files. It does not change.
type Set struct {
	record record
	volume *volume
	// files is the directory that was found or imported, and satisfied that of the files that met a requirement. They
	// are empty if there are no such files.
	files, satisfied directory
}

// directory is a directory of files, and its state when it was verified.
type directory struct {
	path  string
	stamp stamp
}

// openDirectory verifies the directory of some files.
func openDirectory(base string, files *fileSet) (d directory, err error) {
	if files.Set == "" {
		return directory{}, nil
	}
	d.path = filepath.Join(base, files.Set)
	if d.stamp, err = stampOf(d.path); err != nil {
		return directory{}, err
	}
	return d, files.verify(d.path)
}

// name returns the name of the directory, which is empty if there is none.
func (d directory) name() string {
	if d.path == "" {
		return ""
	}
	return filepath.Base(d.path)
}

// intact reports whether the files are still in place, by one stat of the directory.
func (d directory) intact() bool {
	if d.path == "" {
		return true
	}
	now, err := stampOf(d.path)
	return err == nil && now == d.stamp
}

// Evidence returns the set as decisions see it, without a generation.
func (s *Set) Evidence() policy.Evidence {
	r := &s.record
	return policy.Evidence{
		Manifest:   r.Manifest,
		State:      r.state(),
		Directory:  s.files.path,
		Signatures: len(r.Signatures),
		Bundles:    len(r.Bundles),

		Attestations: len(r.Attestations),
		Predicates:   policy.NewPredicates(r.Predicates...),
		Partial:      r.partial(),
		Unusable:     r.Unusable,
		Lookaside:    r.Lookaside,
		Detail:       r.detail(),
		Source:       r.source(),
		FetchedAt:    r.Fetched,
		Satisfied: policy.SatisfiedEvidence{
			Directory: s.satisfied.path, Signatures: len(r.Satisfied.Signatures), Bundles: len(r.Satisfied.Bundles),
			Attestations: len(r.Satisfied.Attestations),
		},
	}
}

// Sources returns the states of the sources when they were read.
func (s *Set) Sources() []format.SourceState { return s.record.Sources }

// HasImports reports whether some of its files were imported.
func (s *Set) HasImports() bool { return !s.record.Imported.IsZero() }

// Use records that a decision uses the set: it is evicted after those that no decision uses.
func (s *Set) Use() { s.volume.use(s.record.key()) }

// Intact reports whether the files are still in place, by a stat of their directories.
func (s *Set) Intact() bool { return s.files.intact() && s.satisfied.intact() }

// Verify returns nil if every byte of every file is as it was stored.
func (s *Set) Verify() error {
	for _, check := range []struct {
		files *fileSet
		in    directory
	}{{&s.record.fileSet, s.files}, {&s.record.Satisfied, s.satisfied}} {
		if check.in.path == "" {
			continue
		}
		if err := check.files.verify(check.in.path); err != nil {
			return err
		}
	}
	return nil
}

// Content returns what is stored. A damaged file is left out. A nil Set has no content.
func (s *Set) Content() Content {
	if s == nil {
		return Content{}
	}
	r := &s.record
	return Content{
		Files: r.read(s.files.path), Satisfied: s.SatisfiedFiles(),
		Sources: r.Sources, Predicates: r.Predicates, Detail: r.Detail, Omitted: r.Omitted, Lookaside: r.Lookaside,
		FetchedAt: r.Fetched, ImportedAt: r.Imported,
	}
}

// SatisfiedFiles returns the files that met a requirement.
func (s *Set) SatisfiedFiles() []format.File { return s.record.Satisfied.read(s.satisfied.path) }

// Equal reports whether the set says the same of the same files as content does, wherever and whenever these were read.
func (s *Set) Equal(c Content) bool {
	r := newRecord(s.record.key(), c)
	return r.equal(&s.record)
}

// stamp identifies a directory and its state, to detect a change of its files.
type stamp struct {
	device, inode uint64
	changed       unix.Timespec
}

// stampOf returns the stamp of a directory.
func stampOf(directory string) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Lstat(directory, &st); err != nil {
		return stamp{}, fmt.Errorf("reading the state of %s: %w", directory, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return stamp{}, fmt.Errorf("%s is not a directory", directory)
	}
	return stamp{device: st.Dev, inode: st.Ino, changed: st.Mtim}, nil
}
