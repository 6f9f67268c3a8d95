package policy

import "slices"

// Cause is why a requirement is not met, in one word. The cause and the requirement determine what can be done about
// it, see [Kinds.Advice].
type Cause string

// The causes. For the zero Cause there is no advice.
const (
	// NoSignature: no signature was found.
	NoSignature Cause = "no-signature"
	// NoAttestation: no attestation of the required predicate type was found.
	NoAttestation Cause = "no-attestation"
	// OnlyAttestations: the files that were found are attestations, which do not sign the image.
	OnlyAttestations Cause = "only-attestations"
	// Malformed: what was found cannot be parsed as a signature.
	Malformed Cause = "malformed"
	// OtherImage: the signatures that were found sign another manifest.
	OtherImage Cause = "other-image"
	// OtherKey: none of the requirement's keys made the signature, or it was modified.
	OtherKey Cause = "other-key"
	// OtherSigner: the certificate has another identity, or another issuer, than the requirement.
	OtherSigner Cause = "other-signer"
	// NotLogged: the transparency log entry that the requirement needs is missing.
	NotLogged Cause = "not-logged"
	// OtherName: it is valid and by the right signer, for a name that signedIdentity does not accept.
	OtherName Cause = "other-name"
	// NoName: it is valid and by the right signer, and names no repository.
	NoName Cause = "no-name"
	// FalseCondition: it is an attestation by the right signer for which the requirement's condition is not true.
	FalseCondition Cause = "false-condition"
)

// Causes returns all causes, the furthest from acceptance first.
func Causes() []Cause {
	return []Cause{
		NoSignature, NoAttestation, OnlyAttestations, Malformed, OtherImage, OtherKey, OtherSigner, NotLogged, OtherName,
		NoName, FalseCondition,
	}
}

// Nearer returns the cause that is nearer to acceptance: if several signatures are found, the advice about the best one
// is the most useful.
func (c Cause) Nearer(other Cause) Cause {
	if slices.Index(Causes(), other) > slices.Index(Causes(), c) {
		return other
	}
	return c
}
