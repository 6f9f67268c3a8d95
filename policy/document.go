package policy

import "github.com/distribution/reference"

// ParseFunc turns the bytes of a containers-policy.json(5) file into a [Document]. It opens no file itself: read
// returns the contents of a key file the document names.
type ParseFunc func(raw []byte, read func(path string) ([]byte, error)) (*Document, error)

// Document is one policy file, parsed. It is immutable, and documents with equal requirement lists share them.
type Document struct {
	// Name is the file's path.
	Name string
	// Default is the list for images that no scope matches. No list is empty: [Document.Select] denies if one is.
	Default []*Requirement
	// Scopes are the lists under "transports": {"docker": …}, keyed as written there; "" is the transport's default.
	Scopes map[string][]*Requirement
	// KeyFiles are the paths of the key files the document names, read or not: when one changes, so does the document.
	KeyFiles []string
	// Dead are those of Scopes that no reference can select.
	Dead map[string]*DeadScope
}

// Select returns the scope that governs a reference, most specific first and never merged, and its requirements:
// the exact reference, its repository, the namespaces above that, the host, *.domain wildcards, the transport's
// default, the document's default (containers-policy.json(5), "docker:"; go.podman.io/image/v5
// docker/policyconfiguration). A reference with both tag and digest has no identity there; use [Normalize] first.
func (d *Document) Select(ref reference.Named) (scope string, list []*Requirement) {
	return d.selectScope(scopesOf(ref))
}

// selectScope returns the first of the scopes that the document has, most specific first.
func (d *Document) selectScope(scopes []string) (scope string, list []*Requirement) {
	for _, scope := range scopes {
		if list, ok := d.Scopes[scope]; ok {
			return scope, list
		}
	}
	if list, ok := d.Scopes[""]; ok {
		return "", list
	}
	return "", d.Default
}

// Set is one immutable snapshot of every document on the node. A decision uses one Set from beginning to end.
type Set struct {
	// System is the system-wide policy.
	System Source
	// Namespaces holds the documents of the namespaces that have one.
	Namespaces map[string]Source
	// Directory, where not nil, is why it cannot be known which namespaces have a document: all are denied.
	Directory error
}

// Source is a document, or why there is none to use.
type Source struct {
	// Name is the path it is read from.
	Name     string
	Document *Document
	Err      error
}

// For returns the document that governs a namespace: its own, which replaces the system's, or else the system's. A
// namespace whose own document cannot be used does not fall back to the system's.
func (s *Set) For(namespace string) (*Document, error) {
	if s == nil {
		return nil, refuse(InvalidPolicy, "no policy has been loaded yet")
	}
	if s.Directory != nil {
		return nil, refuse(InvalidPolicy, "%v", s.Directory)
	}
	source, ok := s.Namespaces[namespace]
	if !ok {
		source = s.System
	}
	if source.Err != nil {
		return nil, &Refusal{Reason: InvalidPolicy, Document: source.Name, Detail: source.Err.Error()}
	}
	if source.Document == nil {
		return nil, refuse(InvalidPolicy, "no document has been loaded for namespace %q", namespace)
	}
	return source.Document, nil
}
