package policy

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Normalize parses a reference as containerd and CRI-O do: short names are completed, a name without tag and digest
// gets the tag latest, and a tag in addition to a digest is dropped, because a policy identity has only one of them.
func Normalize(s string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return nil, fmt.Errorf("parsing image reference %q: %w", s, err)
	}
	if canonical, ok := named.(reference.Canonical); ok {
		return reference.WithDigest(reference.TrimNamed(named), canonical.Digest())
	}
	return reference.TagNameOnly(named), nil
}

// scopesOf returns the scopes that match a reference, most specific first.
func scopesOf(ref reference.Named) []string {
	return appendRepositoryScopes([]string{ref.String()}, ref.Name())
}

// RepositoryScopes returns the scopes that match a repository, most specific first: the repository, its namespaces, its
// host, and wildcards for the domains of the host. registries.d has the same (containers/image,
// docker/policyconfiguration).
func RepositoryScopes(repository reference.Named) []string {
	return appendRepositoryScopes(nil, repository.Name())
}

func appendRepositoryScopes(scopes []string, name string) []string {
	for {
		scopes = append(scopes, name)
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			break
		}
		name = name[:slash]
	}
	// The port belongs to the host.
	host, _, _ := strings.Cut(name, ":")
	return appendWildcards(scopes, host)
}

// appendWildcards adds the wildcards that match a host. A wildcard stands for at least one label, so a name of one
// label has none.
func appendWildcards(scopes []string, host string) []string {
	for {
		_, parent, found := strings.Cut(host, ".")
		if !found {
			return scopes
		}
		scopes = append(scopes, "*."+parent)
		host = parent
	}
}
