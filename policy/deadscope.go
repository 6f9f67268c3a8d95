package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// DeadScope is a scope that no image reference can ever select.
type DeadScope struct {
	// Why is what is wrong with it.
	Why string
	// Instead is the scope that was probably meant, or empty. It can match.
	Instead string
}

// String describes what is wrong and what to write.
func (d *DeadScope) String() string {
	if d.Instead == "" {
		return d.Why
	}
	return fmt.Sprintf("%s; write %q", d.Why, d.Instead)
}

// CheckScope returns nil if some reference selects a scope of the transport "docker", or what is wrong with it.
// containers/image loads such scopes without an error (docker_transport.go, ValidatePolicyConfigurationScope, v5.42.0).
func CheckScope(scope string) *DeadScope {
	if scopeMatches(scope) {
		return nil
	}
	dead := &DeadScope{Why: whyDead(scope)}
	if instead := correctScope(scope); instead != scope && scopeMatches(instead) {
		dead.Instead = instead
	}
	return dead
}

// scopeMatches reports whether some reference selects the scope.
func scopeMatches(scope string) bool { return scope == "" || scopesFromReference(scope) != nil }

// scopesFromReference is [ScopesAbove] by a reference that selects the scope, or nil if none does. These references
// are sufficient: the scope itself, one below it, or one at a host that a wildcard matches.
func scopesFromReference(scope string) []string {
	witnesses := []string{scope + "/a", scope}
	if parent, ok := strings.CutPrefix(scope, "*."); ok {
		witnesses = []string{"a." + parent + "/a"}
	}
	for _, witness := range witnesses {
		ref, err := Normalize(witness)
		if err != nil {
			continue
		}
		all := scopesOf(ref)
		if i := slices.Index(all, scope); i >= 0 {
			return all[i:]
		}
	}
	return nil
}

// ScopesAbove returns the scopes that are looked up for an image of a scope, from that scope on, the most specific
// first. A document with any of them governs it. Tags, digests and ports are part of names, as in containers/image
// (docker/policyconfiguration, v5.42.0): example.com/a:v1 is in example.com/a, and example.com:5000 is not in
// example.com, although both are in *.com.
//
// For a scope that no reference selects, see [CheckScope], the result means nothing: the scope is not parsed as a
// reference, because that takes longer than everything else that the compiler of policies does.
func ScopesAbove(scope string) []string {
	if parent, ok := strings.CutPrefix(scope, "*."); ok {
		return appendWildcards([]string{scope}, parent)
	}
	slash := strings.LastIndexByte(scope, '/')
	if slash < 0 {
		return appendRepositoryScopes(nil, scope)
	}
	repository, _, hasDigest := strings.Cut(scope, "@")
	tag := strings.IndexByte(scope[slash:], ':')
	switch {
	case hasDigest:
		return appendRepositoryScopes([]string{scope}, repository)
	case tag >= 0:
		return appendRepositoryScopes([]string{scope}, scope[:slash+tag])
	default:
		return appendRepositoryScopes(nil, scope)
	}
}

func whyDead(scope string) string {
	_, digest, hasDigest := strings.Cut(scope, "@")
	switch {
	case strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xa0 }):
		return "it contains white space or a control character"
	case strings.Contains(scope, "://"):
		return "it starts with a protocol, and image references have none"
	case strings.HasSuffix(scope, "/"):
		return "it ends with a slash"
	case strings.HasPrefix(scope, "//"):
		return "it starts with slashes"
	case strings.Contains(scope, "*"):
		return "a wildcard is written *.DOMAIN, without a port or a path"
	case strings.HasPrefix(scope, "index.docker.io"):
		return "image references contain docker.io instead of index.docker.io"
	case hasDigest && strings.Contains(digest, ":") && tagOf(scope) != "":
		return "a scope has a tag or a digest, not both"
	case hasDigest:
		return "it is not an image reference with a digest"
	case strings.ToLower(scope) != scope:
		return "repository paths must be lower case"
	default:
		if ref, err := Normalize(scope); err == nil {
			return "scopes contain full image names, such as " + ref.Name()
		}
		return "it is not a host, a repository or an image reference"
	}
}

// tagOf returns the tag of a reference that also has a digest.
func tagOf(scope string) string {
	name, _, _ := strings.Cut(scope, "@")
	_, tag, found := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	if !found {
		return ""
	}
	return tag
}

// correctScope removes what image references do not contain, and completes a short name.
func correctScope(scope string) string {
	s := strings.TrimSpace(scope)
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	s = strings.TrimSuffix(s, "/*")
	s = strings.Trim(s, "/")
	if rest, ok := strings.CutPrefix(s, "index.docker.io"); ok {
		s = "docker.io" + rest
	}
	if strings.HasPrefix(s, "*.") {
		host, _, _ := strings.Cut(s, "/")
		host, _, _ = strings.Cut(host, ":")
		return host
	}
	if scopeMatches(s) {
		return s
	}
	if host, path, ok := strings.Cut(s, "/"); ok && !strings.ContainsAny(path, ":@") {
		s = host + "/" + strings.ToLower(path)
	} else if !ok && regexp.MustCompile(`^[A-Za-z0-9._-]+$`).MatchString(s) {
		s = strings.ToLower(s)
	}
	if scopeMatches(s) {
		return s
	}
	ref, err := Normalize(s)
	if err != nil {
		return scope
	}
	if strings.ContainsAny(s[strings.LastIndexByte(s, '/')+1:], ":@") {
		return ref.String()
	}
	return ref.Name()
}

// missedScopes describes the scopes of the document that were probably meant for the reference and can never match.
func (d *Document) missedScopes(scopes []string) string {
	var missed []string
	for scope, dead := range d.Dead {
		if dead.Instead != "" && slices.Contains(scopes, dead.Instead) {
			missed = append(missed, fmt.Sprintf("scope %q can never match: %s", scope, dead))
		}
	}
	slices.Sort(missed)
	return strings.Join(missed, "; ")
}
