package policy

import (
	"slices"

	"github.com/distribution/reference"
)

// ParseFunc parses a containers-policy.json(5) file into a [Document]. It opens no file itself: read returns the
// contents of a key file that the document names.
type ParseFunc func(raw []byte, read func(path string) ([]byte, error)) (*Document, error)

// Document is one parsed policy file. It is immutable, and documents with equal requirement lists share them.
type Document struct {
	// Name is the path of the file.
	Name string
	// Default is the list for images that no scope matches. No list may be empty: [Document.Select] denies if one is.
	Default []*Requirement
	// Scopes are the lists under "transports": {"docker": …}, with their keys in the file; "" is the transport's default.
	Scopes map[string][]*Requirement
	// OnlyAudited are the Scopes in which the file enforces nothing, and how many requirements it has there. Their lists
	// have these first, and then what is enforced without the scope, see [Document.EnforcedIn]. What is enforced is
	// selected as if these scopes did not exist.
	OnlyAudited map[string]int
	// KeyFiles are the paths of the key files that the document names, whether or not they were read: if one changes, so
	// does the document.
	KeyFiles []string
	// Dead are the Scopes that no reference can select.
	Dead map[string]*DeadScope
}

// Select returns the scope of a reference, most specific first and never merged, and its requirements: the exact
// reference, its repository, the namespaces above that, the host, *.domain wildcards, the transport's default, the
// document's default (containers-policy.json(5), "docker:"; go.podman.io/image/v5 docker/policyconfiguration). A
// reference with both tag and digest has no identity there; use [Normalize] first.
func (d *Document) Select(ref reference.Named) (scope string, list []*Requirement) {
	return d.selectFor(scopesOf(ref), true)
}

// Selection is how a document selects the requirements for a reference.
type Selection struct {
	// Scope is the scope that applies; IsDefault reports whether it is the document's default.
	Scope     string
	IsDefault bool
	List      []*Requirement
	// Enforced is where the enforced requirements of List come from if Scope enforces nothing, and nil otherwise.
	Enforced *EnforcedScope
	// PassedOver are the other scopes that match the reference, most specific first. Neither Enforced nor the document's
	// default is one.
	PassedOver []string
	// Missed describes scopes that were probably meant for the reference and can never match; mostly empty.
	Missed string
}

// EnforcedScope is a scope, or the document's default, whose requirements are enforced where a more specific scope has
// requirements that are only audited.
type EnforcedScope struct {
	Scope     string
	IsDefault bool
}

// Explain selects like [Document.Select], and also returns what was passed over.
func (d *Document) Explain(ref reference.Named) Selection { return d.explain(ref, true) }

// explain is [Document.Explain] for [Document.selectFor].
func (d *Document) explain(ref reference.Named, audited bool) Selection {
	scopes := scopesOf(ref)
	selected := Selection{Missed: d.missedScopes(scopes)}
	selected.Scope, selected.List = d.selectFor(scopes, audited)
	var matching []string
	for _, scope := range append(scopes, "") {
		if d.selects(scope, audited) {
			matching = append(matching, scope)
		}
	}
	if selected.IsDefault = len(matching) == 0; selected.IsDefault {
		return selected
	}
	selected.PassedOver = matching[1:]
	if !d.selects(selected.Scope, false) {
		selected.Enforced, selected.PassedOver = d.enforcedOf(selected.PassedOver)
	}
	return selected
}

// enforcedOf returns the first of these scopes that enforces something, and the others.
func (d *Document) enforcedOf(scopes []string) (first *EnforcedScope, others []string) {
	i := slices.IndexFunc(scopes, func(scope string) bool { return d.selects(scope, false) })
	if i < 0 {
		return &EnforcedScope{IsDefault: true}, scopes
	}
	scope := scopes[i]
	return &EnforcedScope{Scope: scope}, slices.Delete(scopes, i, i+1)
}

// selectFor returns the first of the scopes that the document has, or if audited is not set, in which it enforces
// something.
func (d *Document) selectFor(scopes []string, audited bool) (scope string, list []*Requirement) {
	for _, scope := range scopes {
		if d.selects(scope, audited) {
			return scope, d.Scopes[scope]
		}
	}
	if d.selects("", audited) {
		return "", d.Scopes[""]
	}
	return "", d.Default
}

// selects reports whether the document has a scope, and if audited is not set, whether it enforces something there.
func (d *Document) selects(scope string, audited bool) bool {
	_, ok := d.Scopes[scope]
	return ok && (audited || d.OnlyAudited[scope] == 0)
}

// EnforcedIn returns the list with the requirements that are enforced for the images of a scope. They are those of the
// scope, or if it has none, those of the next less specific scope that has some, or of a default.
func (d *Document) EnforcedIn(scope string) []*Requirement {
	_, list := d.selectFor(ScopesAbove(scope), false)
	return list
}

// Written returns the list of a scope as the file has it: without what is enforced if the scope enforces nothing.
func (d *Document) Written(scope string) []*Requirement {
	if audited := d.OnlyAudited[scope]; audited > 0 {
		return d.Scopes[scope][:audited]
	}
	return d.Scopes[scope]
}

// Set is an immutable snapshot of all documents on the node. A decision uses one Set from beginning to end.
type Set struct {
	// System is the system-wide policy.
	System Source
	// Cluster is the document of the cluster, which need not exist. If it is not zero, it replaces the system policy.
	Cluster Source
	// Namespaces holds the documents of the namespaces that have one.
	Namespaces map[string]Source
	// Canary is the document of [CanaryNamespace].
	Canary Source
	// Directory, if not nil, is why it is unknown which namespaces have a document: all are denied.
	Directory error

	predicates neededPredicates
}

// Source is a document, or why there is none.
type Source struct {
	// Name is the path of its file.
	Name     string
	Document *Document
	Err      error
}

// For returns the document of a namespace: its own, or otherwise that of the cluster, or otherwise the system policy.
// The canaries have one of their own. If the document of a namespace or of the cluster cannot be used, no other is used
// instead.
func (s *Set) For(namespace string) (*Document, error) {
	if s == nil {
		return nil, refuse(InvalidPolicy, "no policy has been loaded yet")
	}
	if s.Directory != nil {
		return nil, refuse(InvalidPolicy, "%v", s.Directory)
	}
	source, ok := s.Namespaces[namespace]
	if !ok {
		source = s.common()
	}
	if namespace == CanaryNamespace {
		source = s.Canary
	}
	if source.Err != nil {
		return nil, &Refusal{Reason: InvalidPolicy, Document: source.Name, Detail: source.Err.Error()}
	}
	if source.Document == nil {
		return nil, refuse(InvalidPolicy, "no document has been loaded for namespace %q", namespace)
	}
	return source.Document, nil
}

// common returns what applies to namespaces without a document of their own.
func (s *Set) common() Source {
	if s.Cluster.exists() {
		return s.Cluster
	}
	return s.System
}

func (s Source) exists() bool { return s.Name != "" || s.Document != nil || s.Err != nil }
