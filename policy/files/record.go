package files

import (
	"maps"
	"slices"
	"time"

	"github.com/countersign/countersign/policy"
)

// away is how long a namespace's document must be missing before the namespace has the system's. Editors and
// configuration tools rename, and between two renames a strict namespace must not become a lax one.
const away = time.Second

// record is what is known of one policy file. The zero record is of a file never seen, and has nothing that admits.
type record struct {
	sighting
	// document is the last good one.
	document *policy.Document
	// unparsed is what the parser has against the contents that were read last.
	unparsed error
	// unread is why the file as it is now cannot be read.
	unread error
	// faults are the document's requirements that nothing can meet, as the parser found them.
	faults []KeyProblem
	// broken is since when the file cannot be loaded as it is; zero: it can.
	broken time.Time
	// keys are the key files it depends on.
	keys []string
	// symlink says that the directory's entry is one.
	symlink bool
	// gone is since when the file has been missing; zero: it is there.
	gone time.Time
}

// err is what is wrong with the file as it is now; nil: document is what stands in it.
func (r *record) err() error {
	if r.unread != nil {
		return r.unread
	}
	return r.unparsed
}

// source is what the record, of the file at path, gives to a [policy.Set].
func (r *record) source(path string) policy.Source {
	if r.document != nil {
		return policy.Source{Name: path, Document: r.document}
	}
	return policy.Source{Name: path, Err: r.err()}
}

// finding is what a look at a file found.
type finding uint8

const (
	// unreadable: the file is there and could not be read. It is the zero finding, for it harms least.
	unreadable finding = iota
	// missing: there is no file.
	missing
	// unchanged: the identity vouches for the contents.
	unchanged
	// same: it was read, and neither its contents nor those of its key files are new.
	same
	// parsed: it was read, and there is a document or an error of the parser's.
	parsed
)

// look is what was found of a file, with what belongs to that finding.
type look struct {
	finding  finding
	seen     sighting
	document *policy.Document
	err      error
	keys     []string
	symlink  bool
}

// next returns the record after a look, and whether what it gives to a Set is another. A record that is nil is of a
// file that no longer matters.
func (r *record) next(l look, now time.Time) (_ *record, changed bool) {
	if l.finding == missing {
		return r.missed(now)
	}
	n := *r
	n.symlink, n.gone, n.unread = l.symlink, time.Time{}, nil
	switch l.finding {
	case unchanged:
	case same:
		n.sighting = l.seen
	case parsed:
		n.sighting, n.unparsed, n.keys = l.seen, l.err, l.keys
		if l.err == nil {
			n.document, n.faults = l.document, faultsOf(l.document)
		}
	default:
		// The sum stays, so that the document is the same one when the file comes back as it was.
		n.identity, n.settled, n.unread = identity{}, false, l.err
	}
	switch {
	case n.err() == nil:
		n.broken = time.Time{}
	case n.broken.IsZero():
		n.broken = now
	}
	return &n, n.document != r.document || (n.document == nil && !sameText(n.err(), r.err()))
}

// missed is next for a file that is not there.
func (r *record) missed(now time.Time) (*record, bool) {
	n := *r
	if n.gone.IsZero() {
		n.gone = now
	}
	if now.Sub(n.gone) < away {
		return &n, false
	}
	return nil, true
}

// faultsOf lists the document's requirements that nothing can meet.
func faultsOf(document *policy.Document) []KeyProblem {
	var faults []KeyProblem
	note := func(scope string, isDefault bool, list []*policy.Requirement) {
		for _, requirement := range list {
			if requirement.Problem != "" {
				faults = append(faults, KeyProblem{Scope: scope, IsDefault: isDefault, Cause: requirement.Problem})
			}
		}
	}
	note("", true, document.Default)
	for scope, list := range document.Scopes {
		note(scope, false, list)
	}
	slices.SortFunc(faults, compareKeys)
	return slices.Compact(faults)
}

// warning is what an operator should know of a document that loads.
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
