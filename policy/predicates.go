package policy

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/distribution/reference"
)

// Predicates is a set of predicate types of attestations, in a form that can be compared with ==.
type Predicates string

// AllPredicates is the set of all predicate types.
const AllPredicates Predicates = "*"

// NewPredicates returns the set of some predicate types.
func NewPredicates(types ...string) Predicates {
	sorted := slices.Compact(slices.Sorted(slices.Values(types)))
	return Predicates(strings.Join(sorted, "\n"))
}

// Contains reports whether a predicate type is in the set.
func (p Predicates) Contains(predicateType string) bool {
	if p == AllPredicates {
		return true
	}
	for one := range strings.SplitSeq(string(p), "\n") {
		if one == predicateType && one != "" {
			return true
		}
	}
	return false
}

// ContainsAll reports whether every predicate type of another set is in this one.
func (p Predicates) ContainsAll(other Predicates) bool {
	if p == other || p == AllPredicates || other == "" {
		return true
	}
	for one := range strings.SplitSeq(string(other), "\n") {
		if !p.Contains(one) {
			return false
		}
	}
	return true
}

// List returns the predicate types, sorted.
func (p Predicates) List() []string {
	if p == "" {
		return nil
	}
	return strings.Split(string(p), "\n")
}

// neededPredicates are the predicate types that the documents of a [Set] need, by scope. It is made once, because a set
// can have ten thousand documents.
type neededPredicates struct {
	once    sync.Once
	byScope map[string]map[string]struct{}
}

// Predicates returns the predicate types of the attestations that decide about images of a repository, in any document.
// They may be more, never fewer: a more specific scope can apply to the image instead.
func (s *Set) Predicates(repository reference.Named) Predicates {
	if s == nil {
		return ""
	}
	s.predicates.once.Do(s.findPredicates)
	if len(s.predicates.byScope) == 0 {
		return ""
	}
	needed := map[string]struct{}{}
	// Scopes with a tag or a digest are in their repository.
	for _, scope := range append(RepositoryScopes(repository), "", repository.Name()+anyTag) {
		maps.Copy(needed, s.predicates.byScope[scope])
	}
	if len(needed) == 0 {
		return ""
	}
	return NewPredicates(slices.Collect(maps.Keys(needed))...)
}

// anyTag follows a repository in the key for its scopes with a tag or a digest.
const anyTag = ":"

func (s *Set) findPredicates() {
	s.predicates.byScope = map[string]map[string]struct{}{}
	s.addPredicates(s.System.Document)
	for _, source := range s.Namespaces {
		s.addPredicates(source.Document)
	}
}

func (s *Set) addPredicates(document *Document) {
	if document == nil {
		return
	}
	s.addScope("", document.Default)
	for scope, list := range document.Scopes {
		s.addScope(scope, list)
		if named, err := reference.ParseNormalizedNamed(scope); err == nil && !reference.IsNameOnly(named) {
			s.addScope(named.Name()+anyTag, list)
		}
	}
}

func (s *Set) addScope(scope string, list []*Requirement) {
	for _, requirement := range list {
		if requirement.PredicateType == "" {
			continue
		}
		if s.predicates.byScope[scope] == nil {
			s.predicates.byScope[scope] = map[string]struct{}{}
		}
		s.predicates.byScope[scope][requirement.PredicateType] = struct{}{}
	}
}
