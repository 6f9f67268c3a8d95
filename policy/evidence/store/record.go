package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/text"
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
	// maxDetail limits the text of a detail, in bytes.
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
	// Detail describes what could not be read, and why; Omitted what exceeded the limits.
	Detail  string `json:"detail,omitempty"`
	Omitted string `json:"omitted,omitempty"`
	// Lookaside names the lookaside that was asked, or reports that none is configured. It is empty if that is unknown.
	Lookaside string `json:"lookaside,omitempty"`
	// Fetched is when the registry last answered with anything new, and Imported when something was last imported;
	// zero: never.
	Fetched  time.Time            `json:"fetched,omitzero"`
	Imported time.Time            `json:"imported,omitzero"`
	Sources  []format.SourceState `json:"sources,omitempty"`
	// Predicates are the predicate types of which attestations were looked for, sorted.
	Predicates []string `json:"predicates,omitempty"`
	// The files that were found or imported.
	fileSet
	// Satisfied are the files that met a requirement. No fetch removes them.
	Satisfied fileSet `json:"satisfied,omitzero"`
}

// newRecord returns the record of content that is stored for a key.
func newRecord(k Key, c Content) record {
	r := record{
		Version:    recordVersion,
		Manifest:   k.Manifest,
		Repository: k.Repository,
		Outcome:    "none",
		Detail:     text.Summary(c.Detail, maxDetail),
		Omitted:    text.Summary(c.Omitted, maxDetail),
		Lookaside:  text.Summary(c.Lookaside, maxDetail),
		Fetched:    c.FetchedAt,
		Imported:   c.ImportedAt,
		Sources:    c.Sources,
		Predicates: c.Predicates,
		Satisfied:  newFileSet(c.Satisfied),
	}
	if len(c.Files) == 0 {
		r.Unusable = c.Unusable
		return r
	}
	r.Outcome = "found"
	r.fileSet = newFileSet(c.Files)
	return r
}

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
	if max(len(r.Detail), len(r.Omitted), len(r.Lookaside)) > maxDetail {
		return record{}, errors.New("the record's detail is too long")
	}
	return r, r.checkFiles()
}

func (r *record) checkFiles() error {
	if r.Satisfied.size() > 0 || r.Satisfied.Set != "" {
		if err := r.Satisfied.check(); err != nil {
			return fmt.Errorf("files that met a requirement: %w", err)
		}
	}
	switch r.state() {
	case policy.None:
		if r.size() > 0 || r.Set != "" {
			return errors.New("the record says none and lists files")
		}
		return nil
	case policy.Found:
		return r.check()
	default:
		return fmt.Errorf("the record has the outcome %q", r.Outcome)
	}
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
		r.Detail == other.Detail && r.Omitted == other.Omitted && r.Lookaside == other.Lookaside &&
		slices.Equal(r.Predicates, other.Predicates) && r.lists(&other.fileSet)
}

// blocks returns what the record and its files take on a disk, in bytes counted in blocks, and how much of that the
// files take that met a requirement.
func (r *record) blocks() (total, satisfied int64) {
	// The record, its directory, and the manifest's.
	total = 3 * block
	if r.Satisfied.size() > 0 {
		total += r.Satisfied.blocks()
		satisfied = total
	}
	if r.Set == "" || r.Set != r.Satisfied.Set {
		total += r.fileSet.blocks()
	}
	return total, satisfied
}
