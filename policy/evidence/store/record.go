package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/internal/text"
)

const (
	// recordVersion is the version of record.json, and versionDirectory the directory of all records of that version:
	// a program that is rolled back finds its own.
	recordVersion    = 1
	versionDirectory = "v1"
	recordName       = "record.json"
	setPrefix        = "set-"
	temporaryPrefix  = "new-"
	// maxRecord bounds record.json when it is read, in bytes.
	maxRecord = 64 << 10
	// maxDetail bounds the text of a detail, in bytes.
	maxDetail = 500
)

// record is record.json: what was found, when and where, and the files that the set must contain.
type record struct {
	Version    int           `json:"version"`
	Manifest   digest.Digest `json:"manifest"`
	Repository string        `json:"repository"`
	// Outcome is "found" or "none". Failures are not written: a later reader has no use for them.
	Outcome string `json:"outcome"`
	// Unusable reports, with "none", whether there was something that cannot be read as a signature or a bundle.
	Unusable bool `json:"unusable,omitempty"`
	// Detail tells what could not be read, and why; Omitted what exceeded the limits.
	Detail  string `json:"detail,omitempty"`
	Omitted string `json:"omitted,omitempty"`
	// Fetched is when the registry last answered with anything new, and Imported when something was last imported;
	// zero: never.
	Fetched  time.Time            `json:"fetched,omitzero"`
	Imported time.Time            `json:"imported,omitzero"`
	Sources  []format.SourceState `json:"sources,omitempty"`
	// Set is the name of the directory that contains the signatures and the bundles.
	Set        string `json:"set,omitempty"`
	Signatures []file `json:"signatures,omitempty"`
	Bundles    []file `json:"bundles,omitempty"`
}

// file describes what signature-N or bundle-N.json must contain.
type file struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Imported reports whether somebody imported it: it stays, whatever the registry has.
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

// newRecord returns the record of content that is stored for a key.
func newRecord(k Key, c Content) record {
	r := record{
		Version:    recordVersion,
		Manifest:   k.Manifest,
		Repository: k.Repository,
		Outcome:    "none",
		Detail:     shorten(c.Detail),
		Omitted:    shorten(c.Omitted),
		Fetched:    c.FetchedAt,
		Imported:   c.ImportedAt,
		Sources:    c.Sources,
	}
	if len(c.Files) == 0 {
		r.Unusable = c.Unusable
		return r
	}
	r.Outcome = "found"
	for _, stored := range c.Files {
		list := r.list(stored.Kind)
		*list = append(*list, fileOf(stored))
	}
	return r
}

// shorten returns a text as a record may contain it.
func shorten(s string) string { return text.Shorten(text.OneLine(s), maxDetail-len("…")) }

// parseRecord reads record.json and returns an error unless it is the record of this key.
func parseRecord(raw []byte, k Key) (record, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return record{}, fmt.Errorf("parsing the record: %w", err)
	}
	if r.Version != recordVersion {
		return record{}, fmt.Errorf("the record has version %d, not %d", r.Version, recordVersion)
	}
	if r.Manifest != k.Manifest || r.Repository != k.Repository {
		return record{}, fmt.Errorf("the record is of %s in %s", r.Manifest, r.Repository)
	}
	if len(r.Detail) > maxDetail || len(r.Omitted) > maxDetail {
		return record{}, errors.New("the record's detail is too long")
	}
	return r, r.checkFiles()
}

func (r *record) checkFiles() error {
	if r.state() == policy.None {
		if r.size() > 0 || r.Set != "" {
			return errors.New("the record says none and lists files")
		}
		return nil
	}
	if r.state() != policy.Found {
		return fmt.Errorf("the record has the outcome %q", r.Outcome)
	}
	if r.size() == 0 || len(r.Signatures) > format.MaxFiles || len(r.Bundles) > format.MaxFiles {
		return fmt.Errorf("the record lists %d signatures and %d bundles", len(r.Signatures), len(r.Bundles))
	}
	if !strings.HasPrefix(r.Set, setPrefix) || r.Set != filepath.Base(r.Set) {
		return fmt.Errorf("the record names the set %q", r.Set)
	}
	var total int64
	for f := range r.files() {
		if f.Size <= 0 || f.Size > format.MaxTotal-total {
			return errors.New("the record lists sizes that no set has")
		}
		total += f.Size
	}
	return nil
}

// key returns whose record it is.
func (r *record) key() Key { return Key{Manifest: r.Manifest, Repository: r.Repository} }

// detail returns everything that is to be said about missing files.
func (r *record) detail() string {
	if r.Detail == "" || r.Omitted == "" {
		return r.Detail + r.Omitted
	}
	return r.Detail + "; " + r.Omitted
}

// source returns the names of the sources of the record's files.
func (r *record) source() string {
	var names []string
	for _, s := range r.Sources {
		if s.Digest != "" {
			names = append(names, s.Reference)
		}
	}
	if !r.Imported.IsZero() {
		names = append(names, "import")
	}
	return strings.Join(names, ", ")
}

// size returns how many files the record lists.
func (r *record) size() int { return len(r.Signatures) + len(r.Bundles) }

// list returns the files of one kind.
func (r *record) list(kind format.Kind) *[]file {
	if kind == format.KindBundle {
		return &r.Bundles
	}
	return &r.Signatures
}

// namedFile is a file with its name and kind.
type namedFile struct {
	file
	name string
	kind format.Kind
}

// files yields the files that the set must contain.
func (r *record) files() iter.Seq[namedFile] {
	return func(yield func(namedFile) bool) {
		for _, kind := range []format.Kind{format.KindSignature, format.KindBundle} {
			for i, f := range *r.list(kind) {
				if !yield(namedFile{file: f, name: kind.Name(i), kind: kind}) {
					return
				}
			}
		}
	}
}

// partial reports whether not everything could be read.
func (r *record) partial() bool {
	return slices.ContainsFunc(r.Sources, func(s format.SourceState) bool { return s.Partial })
}

// state returns the record's outcome, or [policy.Unknown].
func (r *record) state() policy.State {
	switch r.Outcome {
	case "found":
		return policy.Found
	case "none":
		return policy.None
	default:
		return policy.Unknown
	}
}

// equal reports whether two records say the same of the same files, wherever and whenever these were read.
func (r *record) equal(other *record) bool {
	return r.Outcome == other.Outcome && r.Unusable == other.Unusable &&
		r.Detail == other.Detail && r.Omitted == other.Omitted &&
		slices.Equal(r.Signatures, other.Signatures) && slices.Equal(r.Bundles, other.Bundles)
}

// blocks returns what the record and its files take on a disk, counted in blocks of 4 KiB.
func (r *record) blocks() int64 {
	const block = 4 << 10
	// The record, its directory, and the manifest's.
	total := int64(3 * block)
	if r.Set != "" {
		total += block
	}
	for f := range r.files() {
		total += (f.Size + block - 1) / block * block
	}
	return total
}
