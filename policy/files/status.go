package files

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Status says how loading went.
type Status struct {
	// Documents is how many there are: the system's, which there always should be, and those of namespaces. Those
	// that cannot be used are among them.
	Documents int
	// Failures is how many of them cannot be loaded as they stand on disk, whether or not an earlier version is used.
	// A directory that cannot be used counts as one.
	Failures int
	// Reloads is how often the snapshot was replaced.
	Reloads int
	// LastGood is when everything was last found in order; zero: never.
	LastGood time.Time
	// Problems are all there are, sorted by what they say.
	Problems []Problem
	// Keys are the requirements that nothing can meet, because of a key file for the most part, sorted by document and
	// scope. What each says is among the Problems, once.
	Keys []KeyProblem
}

// KeyProblem is a requirement that nothing can meet. It is comparable.
type KeyProblem struct {
	// Document is the path of the document, and Namespace whose it is; empty: the system's.
	Document, Namespace string
	// Scope is where the requirement is in the document. IsDefault reports whether it is the document's default.
	Scope     string
	IsDefault bool
	// Cause is one line, which names the key file where there is one.
	Cause string
}

// uses says in which document a problem with a key is, and how many more requirements have it.
func (s *Status) uses(p Problem) []any {
	if p.Path != "" {
		return nil
	}
	var first *KeyProblem
	others := 0
	for i := range s.Keys {
		switch {
		case s.Keys[i].Cause != p.Text:
		case first == nil:
			first = &s.Keys[i]
		default:
			others++
		}
	}
	if first == nil {
		return nil
	}
	scope := first.Scope
	if first.IsDefault {
		scope = "default"
	}
	return []any{slog.String("document", first.Document), slog.String("scope", scope), slog.Int("others", others)}
}

// Problem is one thing that is wrong. It is comparable.
type Problem struct {
	// Text is one line for the operator, which names the file.
	Text string
	// Path is the file or directory that is at fault, where that is one.
	Path string
	// Namespace is the one whose document it is. It is empty where that is the system's, and for what is wrong with
	// the directory, with a key file, or with watching.
	Namespace string
	// Kept says that an earlier version is in use, so that nothing is denied because of this.
	Kept bool
	// KeptSince is since when a document has not been loadable while an earlier version of it is in force; else zero.
	KeptSince time.Time
}

// differs reports whether there is more to tell than the time.
func (s *Status) differs(old *Status) bool {
	return old == nil || s.Documents != old.Documents || s.Failures != old.Failures || s.Reloads != old.Reloads ||
		!slices.Equal(s.Problems, old.Problems) || !slices.Equal(s.Keys, old.Keys)
}

// report makes the status after a scan. Notes are further problems, or nil.
func (s *state) report(old *Status, now time.Time, changed bool, notes []error) *Status {
	status := &Status{Documents: len(s.namespaces) + 1}
	if old != nil {
		status.Reloads, status.LastGood = old.Reloads, old.LastGood
	}
	if changed && old != nil {
		status.Reloads++
	}
	problems := make(map[Problem]bool)
	load := func(namespace, path string, r *record) {
		for _, fault := range r.faults {
			fault.Document, fault.Namespace = path, namespace
			status.Keys = append(status.Keys, fault)
			problems[Problem{Text: fault.Cause}] = true // Once, however many documents have it.
		}
		if err := r.err(); err != nil {
			problem := Problem{Text: err.Error(), Path: path, Namespace: namespace, Kept: r.document != nil}
			if problem.Kept {
				problem.KeptSince = r.broken
			}
			problems[problem] = true
			status.Failures++
		}
	}
	load("", s.config.System, s.system)
	for namespace, record := range s.namespaces {
		load(namespace, s.pathOf(namespace), record)
	}
	if err := s.directory.describe(&s.config); err != nil {
		problems[Problem{Text: err.Error(), Path: s.config.Directory, Kept: s.directory.known}] = true
		status.Failures++
	}
	for _, err := range slices.DeleteFunc(notes, func(err error) bool { return err == nil }) {
		problems[Problem{Text: err.Error(), Kept: true}] = true
	}
	slices.SortFunc(status.Keys, compareKeys)
	status.Problems = slices.SortedFunc(maps.Keys(problems), compareProblems)
	if len(problems) == 0 {
		status.LastGood = now
	}
	return status
}

func compareKeys(a, b KeyProblem) int {
	return cmp.Or(strings.Compare(a.Document, b.Document), strings.Compare(a.Scope, b.Scope),
		strings.Compare(a.Cause, b.Cause))
}

func compareProblems(a, b Problem) int {
	return cmp.Or(strings.Compare(a.Text, b.Text), strings.Compare(a.Namespace, b.Namespace))
}

// tell logs what is new: each problem once when it appears and once when it is gone, and each reload.
func (c *Config) tell(old, status *Status, r result) {
	if old == nil {
		old = &Status{}
	}
	for _, p := range without(old.Problems, status.Problems, Problem.itself) {
		attributes := []any{slog.String("problem", p.Text), slog.Bool("earlier_version_kept", p.Kept)}
		c.Logger.Error("policy problem", append(attributes, status.uses(p)...)...)
	}
	for _, p := range without(status.Problems, old.Problems, Problem.subject) {
		c.Logger.Info("policy problem is gone", slog.String("problem", p.Text))
	}
	for _, name := range r.ignored {
		c.Logger.Warn("a file in the policy directory is not a policy", slog.String("directory", c.Directory),
			slog.String("name", name), slog.String("cause", whyIgnored(name)), slog.String("expected", expected))
	}
	for _, warning := range r.warnings {
		c.Logger.Warn("policy warning", slog.String("document", warning.document), slog.String("scope", warning.scope),
			slog.String("warning", warning.text))
	}
	if len(r.changed) > 0 {
		const few = 10
		c.Logger.Info("policies loaded", slog.Int("documents", status.Documents),
			slog.Int("changed", len(r.changed)), slog.Any("namespaces", r.changed[:min(few, len(r.changed))]))
	}
}

func (p Problem) itself() Problem { return p }

// subject is the problem without what may change about it: a file that is wrong in another way is not repaired.
func (p Problem) subject() Problem {
	if p.Path == "" {
		return Problem{Text: p.Text}
	}
	return Problem{Path: p.Path}
}

// without returns the problems in list of which none in other is the same in that respect.
func without(other, list []Problem, respect func(Problem) Problem) []Problem {
	known := make(map[Problem]bool, len(other))
	for _, p := range other {
		known[respect(p)] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(p Problem) bool { return known[respect(p)] })
}
