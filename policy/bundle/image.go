package bundle

import (
	// A digest of an algorithm that the program does not link is no valid digest.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	containers "go.podman.io/image/v5/manifest"

	"github.com/countersign/countersign/policy"
)

// image is what runs, and what it is called.
type image struct {
	reference reference.Named
	manifest  policy.Manifest
}

// check compares the manifest with its digest, and makes sure that signatures on a digest of these bytes are about
// these bytes. Package signature does the same, and docs/decisions/0010 says why a manifest of schema 1 is refused: it
// is not for bundles alone to accept what a signature of the old format could not vouch for.
func (i *image) check() (finding policy.Finding, ok bool) {
	want := i.manifest.Digest
	if err := want.Validate(); err != nil {
		return unmet(policy.Internal, "the manifest's digest %q: %v", want, err), false
	}
	if got := want.Algorithm().FromBytes(i.manifest.Bytes); got != want {
		return unmet(policy.Internal, "the manifest has digest %s, not %s", got, want), false
	}
	if containers.GuessMIMEType(i.manifest.Bytes) == containers.DockerV2Schema1SignedMediaType {
		return unmet(policy.Rejected,
			"manifest %s is of schema 1: a signature on it need not be about what runs", want), false
	}
	return policy.Finding{}, true
}

// algorithms are those of a subject's digests that are looked at; in-toto's names of them are those of digests.
func algorithms() []digest.Algorithm {
	return []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512}
}

// matchesDigest reports whether a set of digests, in hexadecimal by algorithm, is that of the
// manifest, and by which digest. They
// all speak of the same bytes, so that one that is wrong makes all of them wrong.
func (i *image) matchesDigest(digests map[string]string) (by digest.Digest, ok bool) {
	for _, algorithm := range algorithms() {
		claimed, present := digests[algorithm.String()]
		if !present {
			continue
		}
		is := i.manifest.Digest
		if is.Algorithm() != algorithm {
			is = algorithm.FromBytes(i.manifest.Bytes)
		}
		if is.Encoded() != claimed {
			return "", false
		}
		by, ok = is, true
	}
	return by, ok
}
