package signable

import (
	// A digest is valid only if the program links its algorithm.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/manifest"
)

// ErrSchema1 is wrapped by the error for a signed manifest of schema 1. docs/decisions/0010 explains why it is refused.
var ErrSchema1 = errors.New("is schema 1: a signature on it may cover another image than the one that runs")

// Check returns an error unless the bytes have that digest and a signature on it covers these bytes.
//
// For containers/image, the digest of a signed "schema 1" manifest is that of a text in one of its own fields
// (manifest.Digest, v5.42.0). containerd treats the same bytes as any other manifest and runs what its other fields
// describe. An attacker could put somebody else's signed manifest into that field and run another image.
func Check(want digest.Digest, raw []byte) error {
	if err := want.Validate(); err != nil {
		return fmt.Errorf("the manifest's digest %q: %w", want, err)
	}
	if got := want.Algorithm().FromBytes(raw); got != want {
		return fmt.Errorf("the manifest has digest %s, not %s", got, want)
	}
	if manifest.GuessMIMEType(raw) == manifest.DockerV2Schema1SignedMediaType {
		return fmt.Errorf("manifest %s %w", want, ErrSchema1)
	}
	return nil
}
