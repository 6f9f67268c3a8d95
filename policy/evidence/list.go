package evidence

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
)

// Stored is what a directory holds for one manifest, or index, in one repository.
type Stored struct {
	Manifest   digest.Digest
	Repository string
	// State is [policy.Found] or [policy.None], and [policy.Unknown] with Damage.
	State policy.State
	// Detail says what was left out, and why.
	Detail string
	// Signatures and Bundles are how many files of each there are, and Imported how many of them were brought by hand.
	Signatures, Bundles, Imported int
	// Size is that of these files, in bytes.
	Size int64
	// Fetched is when a registry said so, and ImportedAt when something was last imported; zero: never.
	Fetched, ImportedAt time.Time
	Sources             []Source
	// Directory holds the files, if there are any. A running Keeper that replaces them leaves them a few seconds.
	Directory string
	// AbsentSince is when the image was first seen not to be on this node; zero: it is here, or was never looked for.
	AbsentSince time.Time
	// Damage says why what is there is of no use, as it is to decisions, which have it fetched again. Only Directory
	// is set with it, and the manifest where the path tells.
	Damage error

	record record
}

// Source is where evidence was found.
type Source struct {
	// Reference is what was read, and Host who answered: the registry or a mirror of it.
	Reference, Host string
}

// List returns what a Keeper, running or not, keeps in a directory, by repository and manifest. Every byte is read
// and compared with its hash. The error is why the directory cannot be read; one that is not there holds nothing.
func List(directory string) ([]Stored, error) {
	root := filepath.Join(directory, versionDirectory)
	if _, err := os.ReadDir(root); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the evidence directory: %w", err)
	}
	var all []Stored
	for base, manifest := range bases(root) {
		if stored, ok := storedAt(root, base, manifest); ok {
			all = append(all, stored)
		}
	}
	slices.SortStableFunc(all, func(a, b Stored) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Manifest, b.Manifest))
	})
	return all, nil
}

// storedAt reads one directory, if it has a record. What a Keeper replaces meanwhile is read once more.
func storedAt(root, base string, manifest digest.Digest) (s Stored, ok bool) {
	var h *held
	for range 2 {
		_, k, err := recordAt(root, base)
		if errors.Is(err, fs.ErrNotExist) {
			return Stored{}, false
		}
		if err == nil {
			h, err = readHeld(root, k)
		}
		if err == nil {
			return h.stored(readPresence(base)), true
		}
		s = Stored{Manifest: manifest, Directory: base, Damage: err}
	}
	return s, true
}

func (h *held) stored(known presence) Stored {
	r := h.record
	s := Stored{
		Manifest: r.Manifest, Repository: r.Repository, State: r.state(), Detail: r.detail(),
		Signatures: len(r.Signatures), Bundles: len(r.Bundles),
		Fetched: r.Fetched, ImportedAt: r.Imported, Directory: h.directory, AbsentSince: known.AbsentSince,
		record: r,
	}
	for _, source := range r.Sources {
		s.Sources = append(s.Sources, Source{Reference: source.Reference, Host: source.Host})
	}
	for f := range r.files() {
		s.Size += f.Size
		if f.Imported {
			s.Imported++
		}
	}
	return s
}

// Item returns the files, as they can be imported elsewhere. The error is why they cannot be read; one reason is that
// they were replaced since they were listed.
func (s Stored) Item() (format.Item, error) {
	if s.Damage != nil {
		return format.Item{}, s.Damage
	}
	item := format.Item{Manifest: s.Manifest, Repository: s.Repository}
	for want := range s.record.files() {
		path := filepath.Join(s.Directory, want.name)
		content, err := readFile(path, want.Size)
		if err != nil {
			return format.Item{}, err
		}
		if !want.holds(content) {
			return format.Item{}, fmt.Errorf("%s is not what its record says", path)
		}
		item.Add(want.kind, content)
	}
	return item, nil
}
