package bundle

import (
	// A digest is valid only if the program links its algorithm.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	containers "go.podman.io/image/v5/manifest"

	"github.com/countersign/countersign/policy"
)

// image is the image that runs, with its reference.
type image struct {
	reference reference.Named
	manifest  policy.Manifest
}

// check compares the manifest with its digest, and ensures that signatures on the digest of these bytes cover these
// bytes. Package signature does the same; docs/decisions/0010 explains why a manifest of schema 1 is refused: a bundle
// must not admit what a signature of the old format cannot cover.
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
			"manifest %s is schema 1: a signature on it may cover another image than the one that runs", want), false
	}
	return policy.Finding{}, true
}

// algorithms are the algorithms of a subject's digests that are compared; in-toto uses the same names.
func algorithms() []digest.Algorithm {
	return []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512}
}

// matchesDigest reports whether a set of digests, in hexadecimal by algorithm, is that of the manifest, and returns the
// digest that matches. All of them describe the same bytes, so a single mismatch invalidates the set.
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
