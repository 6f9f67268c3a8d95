package store

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
)

// Content is what is stored for a key.
type Content struct {
	// Files are the signatures and bundles; none: a registry was asked and has none. Imported files are the last.
	Files   []format.File
	Sources []format.SourceState
	// Detail tells what could not be read, and why; Omitted what exceeded the limits.
	Detail, Omitted string
	// Unusable reports whether some source has something that never can be read, and no source anything else.
	Unusable bool
	// FetchedAt is when the registry answered, and ImportedAt when something was last imported; zero: never.
	FetchedAt, ImportedAt time.Time
}

// Set is what a store has for a key: a record, and the directory that contains the files. It does not change.
type Set struct {
	record record
	volume *volume
	// directory contains the files; it is empty if there are none.
	directory string
	stamp     stamp
}

// Evidence returns the set as decisions see it, without a generation.
func (s *Set) Evidence() policy.Evidence {
	r := &s.record
	return policy.Evidence{
		Manifest:   r.Manifest,
		State:      r.state(),
		Directory:  s.directory,
		Signatures: len(r.Signatures),
		Bundles:    len(r.Bundles),
		Partial:    r.partial(),
		Unusable:   r.Unusable,
		Detail:     r.detail(),
		Source:     r.source(),
		FetchedAt:  r.Fetched,
	}
}

// Sources returns the states of the sources when they were read.
func (s *Set) Sources() []format.SourceState { return s.record.Sources }

// HasImports reports whether some of its files were imported.
func (s *Set) HasImports() bool { return !s.record.Imported.IsZero() }

// Use notes that a decision uses the set: it is evicted after those that no decision uses.
func (s *Set) Use() { s.volume.use(s.record.key()) }

// Intact reports whether the files are still in place, by one stat of their directory.
func (s *Set) Intact() bool {
	if s.directory == "" {
		return true
	}
	now, err := stampOf(s.directory)
	return err == nil && now == s.stamp
}

// Verify returns nil if every byte of every file is as it was stored.
func (s *Set) Verify() error {
	if s.directory == "" {
		return nil
	}
	return verifySet(s.directory, &s.record)
}

// Content returns what is stored. A damaged file is left out. A nil Set has no content.
func (s *Set) Content() Content {
	if s == nil {
		return Content{}
	}
	r := &s.record
	c := Content{Sources: r.Sources, Detail: r.Detail, FetchedAt: r.Fetched, ImportedAt: r.Imported}
	var imported []format.File
	for want := range r.files() {
		raw, err := readFile(filepath.Join(s.directory, want.name), want.Size)
		if err != nil || !want.matches(raw) {
			continue
		}
		read := format.File{Kind: want.kind, Bytes: raw, Imported: want.Imported}
		if read.Imported {
			imported = append(imported, read)
		} else {
			c.Files = append(c.Files, read)
		}
	}
	c.Files = append(c.Files, imported...)
	return c
}

// Equal reports whether the set says the same of the same files as content does, wherever and whenever these were read.
func (s *Set) Equal(c Content) bool {
	r := newRecord(s.record.key(), c)
	return r.equal(&s.record)
}

// stamp tells whether a directory is still the one that was read, and still has the same files.
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

// verifySet returns nil if a directory contains exactly the files that a record lists.
func verifySet(directory string, r *record) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return fmt.Errorf("reading a set of signatures: %w", err)
	}
	if len(entries) != r.size() {
		return fmt.Errorf("%s contains %d files, not %d", directory, len(entries), r.size())
	}
	for want := range r.files() {
		path := filepath.Join(directory, want.name)
		content, err := readFile(path, want.Size)
		if err != nil {
			return err
		}
		if !want.matches(content) {
			return fmt.Errorf("%s differs from its record", path)
		}
	}
	return nil
}
