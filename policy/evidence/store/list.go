package store

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

// Info describes what is stored for one manifest, or index, in one repository.
type Info struct {
	Manifest   digest.Digest
	Repository string
	// State is [policy.Found] or [policy.None], and [policy.Unknown] with Damage.
	State policy.State
	// Detail describes what was skipped, and why.
	Detail string
	// Signatures, Bundles and Attestations are the numbers of files of each kind, and Imported how many of them were
	// imported.
	Signatures, Bundles, Attestations, Imported int
	// Satisfied is how many files met a requirement. A registry may not have them any more.
	Satisfied int
	// Size is the size of these files, in bytes.
	Size int64
	// Fetched is when a registry answered, and ImportedAt when something was last imported; zero: never.
	Fetched, ImportedAt time.Time
	Sources             []Source
	// Directory contains the files, if there are any. An open store that replaces them removes them seconds later.
	Directory string
	// AbsentSince is when the image was first seen to be absent from this node; zero: it is present, or not checked yet.
	AbsentSince time.Time
	// Damage is why the evidence cannot be used; decisions cause it to be fetched again. With it, only Directory is
	// set, and the manifest if the path names it.
	Damage error

	record    record
	satisfied string
}

// Source is where evidence was found.
type Source struct {
	// Reference is what was read, and Host what answered: the registry or a mirror of it.
	Reference, Host string
}

// List returns what a store, open or not, has in a directory, ordered by repository and manifest. Every byte is read
// and compared with its hash. The error is why the directory cannot be read; if it does not exist, the list is empty.
func List(directory string) ([]Info, error) {
	root := filepath.Join(directory, versionDirectory)
	if _, err := os.ReadDir(root); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the evidence directory: %w", err)
	}
	var all []Info
	for base, manifest := range bases(root) {
		if info, ok := infoAt(root, base, manifest); ok {
			all = append(all, info)
		}
	}
	slices.SortStableFunc(all, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Manifest, b.Manifest))
	})
	return all, nil
}

// infoAt reads one directory, if it has a record. It reads again if the record is replaced meanwhile.
func infoAt(root, base string, manifest digest.Digest) (info Info, ok bool) {
	var s *Set
	for range 2 {
		_, k, err := recordAt(root, base)
		if errors.Is(err, fs.ErrNotExist) {
			return Info{}, false
		}
		if err == nil {
			s, err = readSet(root, k)
		}
		if err == nil {
			return s.info(readPresence(base)), true
		}
		info = Info{Manifest: manifest, Directory: base, Damage: err}
	}
	return info, true
}

func (s *Set) info(known presence) Info {
	r := s.record
	info := Info{
		Manifest: r.Manifest, Repository: r.Repository, State: r.state(), Detail: r.detail(),
		Signatures: len(r.Signatures), Bundles: len(r.Bundles), Attestations: len(r.Attestations),
		Fetched: r.Fetched, ImportedAt: r.Imported, Directory: s.files.path, AbsentSince: known.AbsentSince,
		Satisfied: r.Satisfied.size(),
		record:    r, satisfied: s.satisfied.path,
	}
	for _, source := range r.Sources {
		info.Sources = append(info.Sources, Source{Reference: source.Reference, Host: source.Host})
	}
	for f := range r.files() {
		info.Size += f.Size
		if f.Imported {
			info.Imported++
		}
	}
	return info
}

// Item returns the files in the form in which they can be imported elsewhere. The error is why they cannot be read:
// they may have been replaced since they were listed.
func (i Info) Item() (format.Item, error) {
	if i.Damage != nil {
		return format.Item{}, i.Damage
	}
	if err := i.record.verify(i.Directory); i.Directory != "" && err != nil {
		return format.Item{}, err
	}
	satisfied := i.record.Satisfied.read(i.satisfied)
	for n := range satisfied {
		// Marked as imported, they are the first that Trim retains.
		satisfied[n].Imported = true
	}
	files, _ := format.Trim(append(format.Without(i.record.read(i.Directory), satisfied), satisfied...))
	item := format.Item{Manifest: i.Manifest, Repository: i.Repository}
	for _, file := range files {
		item.Add(file.Kind, file.Bytes)
	}
	return item, nil
}
