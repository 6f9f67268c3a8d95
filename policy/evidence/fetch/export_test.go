package fetch

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// What tests outside of this package need to reach within.

// ParseLayers parses the manifest under a signatures' tag.
func ParseLayers(raw []byte) (layers, omitted int, err error) {
	found, omitted, err := parseLayers(raw)
	return len(found), omitted, err
}

// LookasideBase returns where the signatures of a repository lie, by a directory of registries.d.
func LookasideBase(directory string, repository reference.Named) (*url.URL, error) {
	all, err := readLookasides(directory)
	if err != nil {
		return nil, err
	}
	at, _, err := all.base(repository)
	return at, err
}

// ParseLookasides parses a file of registries.d and returns where the signatures of a repository lie.
func ParseLookasides(raw []byte, repository reference.Named) (*url.URL, error) {
	all := newLookasides()
	all.add("registry.yaml", raw)
	at, _, err := all.base(repository)
	return at, err
}

// LookasideProblems returns the number of problems of a file of registries.d.
func LookasideProblems(raw []byte) int {
	all := newLookasides()
	all.add("registry.yaml", raw)
	return len(all.problems)
}

// ParseReferrers parses a list of referrers and returns those that are to be looked at, in that order, what identifies
// the list and how many were left out.
func ParseReferrers(raw []byte) (ordered []digest.Digest, list digest.Digest, bad int, err error) {
	parsed := &referrerList{reads: (&request{}).reads}
	err = parsed.add(raw)
	for _, listed := range parsed.ordered() {
		ordered = append(ordered, listed.Digest)
	}
	return ordered, parsed.digest(), parsed.bad.count, err
}

// SizeOfReferrers parses a list of referrers and returns how many bytes of text the result has.
func SizeOfReferrers(raw []byte) (held int, err error) {
	parsed := &referrerList{reads: (&request{}).reads}
	err = parsed.add(raw)
	for _, listed := range parsed.candidates {
		text, _ := json.Marshal(listed)
		held += len(text)
	}
	return held, err
}

// ParseAttached parses the manifest of a referrer and returns its subject and its bundles.
func ParseAttached(raw []byte) (subject digest.Digest, bundles []digest.Digest, err error) {
	holds, err := parseAttached(raw)
	if err != nil {
		return "", nil, err
	}
	for _, bundle := range holds.bundles {
		bundles = append(bundles, bundle.Digest)
	}
	return holds.subject, bundles, nil
}

// NextLink returns the target of the link to the next page.
func NextLink(value string) string { return nextLink(http.Header{"Link": {value}}) }
