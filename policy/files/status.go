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
}

// differs reports whether there is more to tell than the time.
func (s *Status) differs(old *Status) bool {
	return old == nil || s.Documents != old.Documents || s.Failures != old.Failures || s.Reloads != old.Reloads ||
		!slices.Equal(s.Problems, old.Problems)
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
			problems[Problem{Text: fault}] = true // Once, however many documents have it.
		}
		if err := r.err(); err != nil {
			problems[Problem{err.Error(), path, namespace, r.document != nil}] = true
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
	for _, err := range notes {
		if err != nil {
			problems[Problem{Text: err.Error(), Kept: true}] = true
		}
	}
	status.Problems = slices.SortedFunc(maps.Keys(problems), compareProblems)
	if len(problems) == 0 {
		status.LastGood = now
	}
	return status
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
		c.Logger.Error("policy problem", slog.String("problem", p.Text), slog.Bool("earlier_version_kept", p.Kept))
	}
	for _, p := range without(status.Problems, old.Problems, Problem.subject) {
		c.Logger.Info("policy problem is gone", slog.String("problem", p.Text))
	}
	for _, name := range r.ignored {
		c.Logger.Warn("not a policy: its name is no namespace's",
			slog.String("directory", c.Directory), slog.String("name", name))
	}
	if len(r.changed) > 0 {
		const few = 10
		c.Logger.Info("policies loaded", slog.Int("documents", status.Documents),
			slog.Int("changed", len(r.changed)), slog.Any("namespaces", r.changed[:min(few, len(r.changed))]))
	}
}

func (p Problem) itself() Problem { return p }

// subject is the problem without what may change about it: a file that is wrong in another way is not mended.
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
