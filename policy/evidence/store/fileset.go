package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign/countersign/policy/evidence/format"
)

// block is what files are counted in, in bytes.
const block = 4 << 10

// fileSet lists the files in a directory.
type fileSet struct {
	// Set is the name of the directory.
	Set        string `json:"set,omitempty"`
	Signatures []file `json:"signatures,omitempty"`
	Bundles    []file `json:"bundles,omitempty"`
	// Attestations are a later addition. An older program does not find the files that it expects, and fetches again.
	Attestations []file `json:"attestations,omitempty"`
}

// file describes what signature-N or bundle-N.json must contain.
type file struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Imported reports whether it was imported: then no fetch removes it.
	Imported bool `json:"imported,omitempty"`
}

func fileOf(stored format.File) file {
	sum := sha256.Sum256(stored.Bytes)
	return file{Size: int64(len(stored.Bytes)), SHA256: hex.EncodeToString(sum[:]), Imported: stored.Imported}
}

// matches reports whether these are the file's bytes.
func (f file) matches(content []byte) bool {
	of := fileOf(format.File{Bytes: content})
	return of.Size == f.Size && of.SHA256 == f.SHA256
}

// newFileSet lists files, without a directory.
func newFileSet(files []format.File) (s fileSet) {
	for _, stored := range files {
		list := s.list(stored.Kind)
		*list = append(*list, fileOf(stored))
	}
	return s
}

// check returns an error if no store writes such a list.
func (s *fileSet) check() error {
	if s.size() == 0 || max(len(s.Signatures), len(s.Bundles), len(s.Attestations)) > format.MaxFiles {
		return fmt.Errorf("the record lists %d signatures, %d bundles and %d attestations",
			len(s.Signatures), len(s.Bundles), len(s.Attestations))
	}
	if !strings.HasPrefix(s.Set, setPrefix) || s.Set != filepath.Base(s.Set) {
		return fmt.Errorf("the record names the set %q", s.Set)
	}
	var total int64
	for f := range s.files() {
		if f.Size <= 0 || f.Size > 2*format.MaxTotal-total {
			return errors.New("the record lists sizes that no set has")
		}
		total += f.Size
	}
	return nil
}

// size returns how many files are listed.
func (s *fileSet) size() int { return len(s.Signatures) + len(s.Bundles) + len(s.Attestations) }

// list returns the files of one kind.
func (s *fileSet) list(kind format.Kind) *[]file {
	switch kind {
	case format.KindBundle:
		return &s.Bundles
	case format.KindAttestation:
		return &s.Attestations
	default:
		return &s.Signatures
	}
}

// namedFile is a file with its name and kind.
type namedFile struct {
	file
	name string
	kind format.Kind
}

// files yields the files that the directory must contain.
func (s *fileSet) files() iter.Seq[namedFile] {
	return func(yield func(namedFile) bool) {
		for _, kind := range format.Kinds() {
			for i, f := range *s.list(kind) {
				if !yield(namedFile{file: f, name: kind.Name(i), kind: kind}) {
					return
				}
			}
		}
	}
}

// lists reports whether two sets have the same files, in any directories.
func (s *fileSet) lists(other *fileSet) bool {
	return slices.Equal(s.Signatures, other.Signatures) && slices.Equal(s.Bundles, other.Bundles) &&
		slices.Equal(s.Attestations, other.Attestations)
}

// blocks returns what the files and their directory take on a disk, in bytes counted in blocks.
func (s *fileSet) blocks() (total int64) {
	if s.size() == 0 {
		return 0
	}
	total = block
	for f := range s.files() {
		total += (f.Size + block - 1) / block * block
	}
	return total
}

// verify returns nil if a directory contains exactly the files that are listed.
func (s *fileSet) verify(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return fmt.Errorf("reading a set of signatures: %w", err)
	}
	if len(entries) != s.size() {
		return fmt.Errorf("%s contains %d files, not %d", directory, len(entries), s.size())
	}
	for want := range s.files() {
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

// read returns the files in a directory, imported ones last. A damaged file is left out.
func (s *fileSet) read(directory string) []format.File {
	var fetched, imported []format.File
	for want := range s.files() {
		raw, err := readFile(filepath.Join(directory, want.name), want.Size)
		if err != nil || !want.matches(raw) {
			continue
		}
		read := format.File{Kind: want.kind, Bytes: raw, Imported: want.Imported}
		if read.Imported {
			imported = append(imported, read)
		} else {
			fetched = append(fetched, read)
		}
	}
	return append(fetched, imported...)
}

// with returns the files that are listed and stored below a base directory, and others, as far as the limits of files
// that met a requirement allow. Those that are stored come first.
func (s *fileSet) with(base string, others []format.File) []format.File {
	var stored []format.File
	if s.Set != "" {
		stored = s.read(filepath.Join(base, s.Set))
	}
	return format.Satisfied(append(stored, others...))
}
