// Package fulcio reads from a certificate of Fulcio who signed, and compares it with the signer that a policy requires.
// Packages that judge signatures of different formats share it, so that an identity means the same in each format.
//
// A requirement that names only an e-mail address means what it means to containers/image (fulcio_cert.go, v5.42.0).
// The other identities and claims are extensions of countersign, which it compares byte by byte: nothing is decoded,
// normalised or folded.
package fulcio
