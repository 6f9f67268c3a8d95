package policy

import "slices"

// Cause is the reason a requirement is not met, in one word: what there is to do about it follows from that and
// from the requirement, see [Kinds.Advice].
type Cause string

// The causes. The zero Cause says nothing, so that there is no advice.
const (
	// NoSignature: none was found.
	NoSignature Cause = "no-signature"
	// OnlyAttestations: what was found states something about the image, and does not sign it.
	OnlyAttestations Cause = "only-attestations"
	// Malformed: what was found cannot be read as a signature.
	Malformed Cause = "malformed"
	// OtherImage: what was found signs another manifest.
	OtherImage Cause = "other-image"
	// OtherKey: it is signed by another key than those of the requirement, or was changed since.
	OtherKey Cause = "other-key"
	// OtherSigner: its certificate is of another person, or by another authority, than the requirement wants.
	OtherSigner Cause = "other-signer"
	// NotLogged: it lacks what the requirement wants of a transparency log.
	NotLogged Cause = "not-logged"
	// OtherName: it is valid and by the right signer, for a name that signedIdentity does not accept.
	OtherName Cause = "other-name"
	// NoName: it is valid and by the right signer, and names no repository.
	NoName Cause = "no-name"
)

// Causes returns all causes, what is furthest from acceptance first.
func Causes() []Cause {
	return []Cause{
		NoSignature, OnlyAttestations, Malformed, OtherImage, OtherKey, OtherSigner, NotLogged, OtherName, NoName,
	}
}

// Nearer returns that of two causes which is nearer to acceptance: where several signatures are found, what to do about
// the best of them is worth more than what is wrong with the others.
func (c Cause) Nearer(other Cause) Cause {
	if slices.Index(Causes(), other) > slices.Index(Causes(), c) {
		return other
	}
	return c
}
