package signature

import (
	"crypto/sha256"
	"fmt"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	// These transports check the scopes under their names, which determines whether a document loads.
	_ "go.podman.io/image/v5/directory"
	_ "go.podman.io/image/v5/docker"
	_ "go.podman.io/image/v5/oci/layout"

	"github.com/countersign/countersign/policy"
)

// Limits of a [Parser]'s caches. The lists that the documents of a cluster share are few and used all the time; lists
// of a single document are evicted.
const (
	maxLists  = 4096
	maxScopes = 16384
	// Longer lists and scopes are parsed each time, so that the caches are limited in bytes too.
	maxCachedList  = 16 << 10
	maxCachedScope = 1 << 10
)

// Parser parses policy documents. It is safe for concurrent use, and documents parsed by one Parser share equal parts.
// Create one with [NewParser].
type Parser struct {
	kinds  policy.Kinds
	lists  *lru.Cache[[sha256.Size]byte, *list]
	scopes *lru.Cache[string, scope]
	merged *lru.Cache[merge, []*policy.Requirement]
}

// NewParser returns a Parser of documents with requirements of those kinds, see [Kinds].
func NewParser(kinds policy.Kinds) *Parser {
	return &Parser{
		kinds:  kinds,
		lists:  newCache[[sha256.Size]byte, *list](maxLists),
		scopes: newCache[string, scope](maxScopes),
		merged: newCache[merge, []*policy.Requirement](maxLists),
	}
}

// newCache returns a cache of at most size elements.
func newCache[K comparable, V any](size int) *lru.Cache[K, V] {
	cache, err := lru.New[K, V](size)
	if err != nil {
		panic(fmt.Sprintf("a cache of %d elements: %v", size, err))
	}
	return cache
}

// Parse is a [policy.ParseFunc]. It accepts and refuses the same documents as go.podman.io/image/v5 v5.42.0 with its
// docker, directory and oci/layout transports: unknown or repeated keys, missing defaults, empty lists and data after
// the document are errors, and so are invalid scopes of the dir: and oci: transports.
//
// Scopes of transports other than docker: are checked and then dropped, because references of a container runtime are
// never in them. A key file that cannot be read, or contains no key, is not an error: the requirements that name it get
// a Problem and cannot be met.
func (p *Parser) Parse(raw []byte, read func(path string) ([]byte, error)) (*policy.Document, error) {
	files := &keyFiles{read: read}
	document := &policy.Document{Scopes: make(map[string][]*policy.Requirement)}
	err := readDocument(raw, func(at listPosition, value []byte) error {
		list, err := p.list(value)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		switch {
		case at.isDefault && list.onlyAudited:
			return errNoneEnforced
		case at.isDefault:
			document.Default = list.requirements(files)
		case at.transport == "docker":
			scope := p.scope(at.scope)
			document.Scopes[scope.name] = list.requirements(files)
			if list.onlyAudited {
				document.OnlyAudited = with(document.OnlyAudited, scope.name, len(list.elements))
			}
			if scope.dead != nil {
				document.Dead = with(document.Dead, scope.name, scope.dead)
			}
		default:
			list.mention(files)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	document.KeyFiles = files.paths
	for scope := range document.OnlyAudited {
		document.Scopes[scope] = p.merge(document.Scopes[scope], document.EnforcedIn(scope))
	}
	return document, nil
}

// with adds an entry to a map, which may be nil.
func with[V any](all map[string]V, key string, value V) map[string]V {
	if all == nil {
		all = make(map[string]V)
	}
	all[key] = value
	return all
}

// list returns the parsed form of a list of requirements.
func (p *Parser) list(raw []byte) (*list, error) {
	if len(raw) > maxCachedList {
		return parseList(raw, p.kinds)
	}
	key := sha256.Sum256(raw)
	if known, ok := p.lists.Get(key); ok {
		return known, nil
	}
	parsed, err := parseList(raw, p.kinds)
	if err != nil {
		return nil, err
	}
	if first, ok, _ := p.lists.PeekOrAdd(key, parsed); ok {
		return first, nil
	}
	return parsed, nil
}

// scope is a scope, and why no reference can select it, if that is so.
type scope struct {
	name string
	dead *policy.DeadScope
}

// scope returns an equal string that all documents share and that does not refer to one document's bytes.
func (p *Parser) scope(s string) scope {
	if len(s) > maxCachedScope {
		return scope{s, policy.CheckScope(s)}
	}
	if known, ok := p.scopes.Get(s); ok {
		return known
	}
	s = strings.Clone(s)
	made := scope{s, policy.CheckScope(s)}
	if first, ok, _ := p.scopes.PeekOrAdd(s, made); ok {
		return first
	}
	return made
}
