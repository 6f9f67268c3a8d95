package signature

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	containers "go.podman.io/image/v5/signature"
)

// Claim is what an OpenPGP message of simple signing says of itself. Nobody has verified any of it.
type Claim struct {
	// Reference is what the image is said to be called, and Manifest its digest.
	Reference string
	Manifest  digest.Digest
	// KeyID is the short identifier of the key that is said to have signed.
	KeyID string
	// Creator is the program that is said to have made the signature, and Time when; zero: it does not say.
	Creator string
	Time    time.Time
}

// ReadClaim reads what an OpenPGP message of simple signing claims, for people who look for what is wrong with it.
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
