package files

import (
	"maps"
	"slices"
	"time"

	"github.com/countersign/countersign/policy"
)

// deletionDelay is how long a namespace's document must be missing before the system policy applies to the namespace.
// Editors and configuration tools rename files, and between two renames a strict namespace must not become a permissive
// one.
const deletionDelay = time.Second

// record is the state of one policy file. The zero record stands for a file that was never read, and admits nothing.
type record struct {
	observation
	// document is the last valid version.
	document *policy.Document
	// parseErr is why the contents that were last read are invalid.
	parseErr error
	// readErr is why the current file cannot be read.
	readErr error
	// keyProblems are the document's requirements that nothing can meet, according to the parser.
	keyProblems []KeyProblem
	// brokenSince is when loading the file began to fail; zero: it loads.
	brokenSince time.Time
	// keys are the key files on which it depends.
	keys []string
	// symlink reports whether the directory's entry is a symlink.
	symlink bool
	// missingSince is when the file was first found missing; zero: it exists.
	missingSince time.Time
}

// err is what is wrong with the current file; nil: document is its content.
func (r *record) err() error {
	if r.readErr != nil {
		return r.readErr
	}
	return r.parseErr
}

// source returns what a [policy.Set] contains for the file at a path.
func (r *record) source(path string) policy.Source {
	if r.document != nil {
		return policy.Source{Name: path, Document: r.document}
	}
	return policy.Source{Name: path, Err: r.err()}
}

// fileState is the result of checking a file.
type fileState uint8

const (
	// unreadable: the file exists and cannot be read. This is the zero value, because it changes the least.
	unreadable fileState = iota
	// missing: the file does not exist.
	missing
	// unchanged: the identity is the same, so the contents are.
	unchanged
	// same: it was read, and its contents and those of its key files are the same.
	same
	// parsed: it was read and parsed, and there is a document or an error.
	parsed
)

// fileCheck is the result of checking a file, with the data for its state.
type fileCheck struct {
	state    fileState
	observed observation
	document *policy.Document
	err      error
	keys     []string
	symlink  bool
}

// next returns the record after a check, and whether the [policy.Set] changes. It returns nil for a file that is no
// longer relevant.
func (r *record) next(l fileCheck, now time.Time) (_ *record, changed bool) {
	if l.state == missing {
		return r.nextMissing(now)
	}
	n := *r
	n.symlink, n.missingSince, n.readErr = l.symlink, time.Time{}, nil
	switch l.state {
	case unchanged:
	case same:
		n.observation = l.observed
	case parsed:
		n.observation, n.parseErr, n.keys = l.observed, l.err, l.keys
		if l.err == nil {
			n.document, n.keyProblems = l.document, keyProblemsOf(l.document)
		}
	default:
		// The hash remains, so that the same document is used if the same contents return.
		n.identity, n.settled, n.readErr = identity{}, false, l.err
	}
	switch {
	case n.err() == nil:
		n.brokenSince = time.Time{}
	case n.brokenSince.IsZero():
		n.brokenSince = now
	}
	return &n, n.document != r.document || (n.document == nil && !sameText(n.err(), r.err()))
}

// nextMissing is next for a missing file.
func (r *record) nextMissing(now time.Time) (*record, bool) {
	n := *r
	if n.missingSince.IsZero() {
		n.missingSince = now
	}
	if now.Sub(n.missingSince) < deletionDelay {
		return &n, false
	}
	return nil, true
}

// keyProblemsOf returns the document's requirements that nothing can meet.
func keyProblemsOf(document *policy.Document) []KeyProblem {
	var faults []KeyProblem
	note := func(scope string, isDefault bool, list []*policy.Requirement) {
		for _, requirement := range list {
			if requirement.Problem != "" {
				faults = append(faults, KeyProblem{Scope: scope, IsDefault: isDefault, Cause: requirement.Problem})
			}
		}
	}
	note("", true, document.Default)
	for scope := range document.Scopes {
		note(scope, false, document.Written(scope))
	}
	slices.SortFunc(faults, compareKeys)
	return slices.Compact(faults)
}

// warning is a warning about a valid document.
type warning struct{ document, scope, text string }

func warningsOf(path string, document *policy.Document) []warning {
	var warnings []warning
	for _, scope := range slices.Sorted(maps.Keys(document.Dead)) {
		warnings = append(warnings, warning{path, scope, "no image reference matches this scope: " +
			document.Dead[scope].String()})
	}
	return warnings
}

func sameText(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Error() == b.Error()
}
