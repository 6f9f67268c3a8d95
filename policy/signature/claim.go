package signature

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	containers "go.podman.io/image/v5/signature"
)

// Claim is what an OpenPGP message of simple signing claims. Nothing in it is verified.
type Claim struct {
	// Reference is the claimed reference of the image, and Manifest its digest.
	Reference string
	Manifest  digest.Digest
	// KeyID is the short ID of the claimed key.
	KeyID string
	// Creator is the program that claims to have created the signature, and Time when; zero: not known.
	Creator string
	Time    time.Time
}

// ReadClaim parses the claims in an OpenPGP message of simple signing, for debugging.
func ReadClaim(message []byte) (Claim, error) {
	if tooLarge(message) {
		return Claim{}, errors.New("reading a signature: its message is too large")
	}
	read, err := containers.GetUntrustedSignatureInformationWithoutVerifying(message)
	if err != nil {
		return Claim{}, fmt.Errorf("reading a signature: %w", err)
	}
	claim := Claim{
		Reference: read.UntrustedDockerReference, Manifest: read.UntrustedDockerManifestDigest,
		KeyID: read.UntrustedShortKeyIdentifier,
	}
	if read.UntrustedCreatorID != nil {
		claim.Creator = *read.UntrustedCreatorID
	}
	if read.UntrustedTimestamp != nil {
		claim.Time = *read.UntrustedTimestamp
	}
	return claim, nil
}
