package files

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Status is the result of loading.
type Status struct {
	// Documents is the number of documents: the system policy, which should always exist, that of the cluster, if there is
	// one, and those of namespaces, including those that cannot be used.
	Documents int
	// Failures is how many of them cannot be loaded as they are on disk, whether or not an earlier version is used. A
	// directory that cannot be used counts as one, and so does a cluster document that is missing.
	Failures int
	// Reloads is how often the snapshot was replaced.
	Reloads int
	// LastGood is when everything was last valid; zero: never.
	LastGood time.Time
	// Problems are all problems, sorted by text.
	Problems []Problem
	// Keys are the requirements that nothing can meet, mostly because of a key file, sorted by document and scope. Each
	// cause is also one of the Problems, once.
	Keys []KeyProblem
}

// KeyProblem is a requirement that nothing can meet. It is comparable.
type KeyProblem struct {
	// Document is the path of the document, and Namespace its namespace; empty: the system policy or the cluster document.
	Document, Namespace string
	// Scope is the scope of the requirement. IsDefault reports whether it is the document's default.
	Scope     string
	IsDefault bool
	// Cause is one line. It contains the path of the key file, if there is one.
	Cause string
}

// DocumentProblems returns the problems without those that Keys explains.
func (s *Status) DocumentProblems() []Problem {
	keys := s.keysByCause()
	return slices.DeleteFunc(slices.Clone(s.Problems), func(problem Problem) bool {
		return problem.Path == "" && len(keys[problem.Text]) > 0
	})
}

// keysByCause returns the numbers of the elements of Keys by their causes. Thousands of documents may have one each.
func (s *Status) keysByCause() map[string][]int {
	keys := make(map[string][]int)
	for i := range s.Keys {
		keys[s.Keys[i].Cause] = append(keys[s.Keys[i].Cause], i)
	}
	return keys
}

// uses returns the document and scope of a problem with a key, and how many more requirements have it.
func (s *Status) uses(p Problem, keys map[string][]int) []any {
	named := keys[p.Text]
	if p.Path != "" || len(named) == 0 {
		return nil
	}
	first := s.Keys[named[0]]
	scope := first.Scope
	if first.IsDefault {
		scope = "default"
	}
	return []any{
		slog.String("document", first.Document), slog.String("scope", scope), slog.Int("others", len(named)-1),
	}
}

// Problem is one problem. It is comparable.
type Problem struct {
	// Text is one line for the operator, with the path of the file.
	Text string
	// Path is the file or directory with the problem, if there is one.
	Path string
	// Namespace is the namespace of the document. It is empty for the system policy and the cluster document, and for
	// problems with the directory, with a key file, or with watching.
	Namespace string
	// Kept reports whether an earlier version is used, so that nothing is denied because of this problem.
	Kept bool
	// KeptSince is since when a document cannot be loaded while an earlier version is in force; otherwise zero.
	KeptSince time.Time
}

// differs reports whether more than the time changed.
func (s *Status) differs(old *Status) bool {
	return old == nil || s.Documents != old.Documents || s.Failures != old.Failures || s.Reloads != old.Reloads ||
		!slices.Equal(s.Problems, old.Problems) || !slices.Equal(s.Keys, old.Keys)
}

// report returns the status after a scan. Notes are further problems, or nil.
func (s *state) report(old *Status, now time.Time, changed bool, notes []error) *Status {
	status := &Status{Documents: len(s.records())}
	if old != nil {
		status.Reloads, status.LastGood = old.Reloads, old.LastGood
	}
	if changed && old != nil {
		status.Reloads++
	}
	problems := make(map[Problem]bool)
	load := func(namespace, path string, r *record) {
		for _, fault := range r.keyProblems {
			fault.Document, fault.Namespace = path, namespace
			status.Keys = append(status.Keys, fault)
			problems[Problem{Text: fault.Cause}] = true // Once, however many documents have it.
		}
		if err := r.err(); err != nil {
			problem := Problem{Text: err.Error(), Path: path, Namespace: namespace, Kept: r.document != nil}
			if problem.Kept {
				problem.KeptSince = r.brokenSince
			}
			problems[problem] = true
			status.Failures++
		}
	}
	load("", s.config.System, s.system)
	if s.cluster.record != nil {
		load("", s.config.Cluster, s.cluster.record)
	}
	for namespace, record := range s.namespaces {
		load(namespace, s.pathOf(namespace), record)
	}
	for _, problem := range s.missing() {
		problems[problem] = true
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

// missing returns the problems with the directory and with the cluster document that are not those of a file.
func (s *state) missing() (problems []Problem) {
	if err := s.directory.describe(&s.config); err != nil {
		problems = append(problems, Problem{Text: err.Error(), Path: s.config.Directory, Kept: s.directory.known})
	}
	if err := s.cluster.describe(&s.config); err != nil {
		problems = append(problems, Problem{Text: err.Error(), Path: s.config.Cluster, Kept: s.cluster.record != nil})
	}
	return problems
}

func compareKeys(a, b KeyProblem) int {
	return cmp.Or(strings.Compare(a.Document, b.Document), strings.Compare(a.Scope, b.Scope),
		strings.Compare(a.Cause, b.Cause))
}

func compareProblems(a, b Problem) int {
	return cmp.Or(strings.Compare(a.Text, b.Text), strings.Compare(a.Namespace, b.Namespace))
}

// logChanges logs what changed: each problem once when it appears and once when it is resolved, and each reload.
func (c *Config) logChanges(old, status *Status, r result) {
	if old == nil {
		old = &Status{}
	}
	keys := status.keysByCause()
	for _, p := range without(old.Problems, status.Problems, Problem.same) {
		attributes := []any{slog.String("problem", p.Text), slog.Bool("earlier_version_kept", p.Kept)}
		c.Logger.Error("policy problem", append(attributes, status.uses(p, keys)...)...)
	}
	for _, p := range without(status.Problems, old.Problems, Problem.subject) {
		c.Logger.Info("policy problem resolved", slog.String("problem", p.Text))
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

func (p Problem) same() Problem { return p }

// subject is the problem without its changeable parts: a file with another problem than before is not resolved.
func (p Problem) subject() Problem {
	if p.Path == "" {
		return Problem{Text: p.Text}
	}
	return Problem{Path: p.Path}
}

// without returns the problems of a list whose counterpart is not in the other list, by a common key.
func without(other, list []Problem, respect func(Problem) Problem) []Problem {
	known := make(map[Problem]bool, len(other))
	for _, p := range other {
		known[respect(p)] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(p Problem) bool { return known[respect(p)] })
}
