package fulcio

import (
	"bytes"
	"crypto/x509"
	"slices"
)

// Vouched returns those of the certificates that a trusted one has signed, directly or through others. No other can be
// part of a chain. Without this filter, nine certificates with the same name and large keys, each signed by the others,
// would cost a hundred verifications by keys of an attacker's choice.
func Vouched(certificates, trusted []*x509.Certificate) (vouched []*x509.Certificate) {
	rest, by := slices.Clone(certificates), trusted
	for len(by) > 0 && len(rest) > 0 {
		var next []*x509.Certificate
		rest = slices.DeleteFunc(rest, func(certificate *x509.Certificate) bool {
			signed := slices.ContainsFunc(by, func(parent *x509.Certificate) bool {
				return bytes.Equal(certificate.RawIssuer, parent.RawSubject) && certificate.CheckSignatureFrom(parent) == nil
			})
			if signed {
				next = append(next, certificate)
			}
			return signed
		})
		vouched, by = append(vouched, next...), next
	}
	return vouched
}
