package bundle

import (
	"errors"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/signable"
)

// image is the image that runs, with its reference.
type image struct {
	reference reference.Named
	manifest  policy.Manifest
}

// check returns a finding unless a signature on the manifest's digest covers the manifest. As for signatures of the old
// format, this excludes schema 1: a bundle must not admit what a signature of the old format cannot cover.
func (i *image) check() (finding policy.Finding, ok bool) {
	if err := signable.Check(i.manifest.Digest, i.manifest.Bytes); errors.Is(err, signable.ErrSchema1) {
		return unmet(policy.Rejected, "%v", err), false
	} else if err != nil {
		return unmet(policy.Internal, "%v", err), false
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
