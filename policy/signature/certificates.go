package signature

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"

	"github.com/countersign/countersign/policy"
)

// Certificates are the certificates that a requirement trusts, as far as they can be read. One that is valid is enough
// of each kind.
type Certificates struct {
	Roots, Intermediates []*x509.Certificate
}

// CertificatesOf returns the certificates of a requirement; none if it trusts none.
func CertificatesOf(requirement *policy.Requirement) (found Certificates) {
	var t trust
	if requirement.Kind != policy.SigstoreSigned || json.Unmarshal(requirement.JSON, &t) != nil {
		return found
	}
	var raw []byte
	if t.Fulcio != nil {
		raw = t.Fulcio.CAData
	}
	if t.PKI != nil {
		raw = slices.Concat(t.PKI.CARootsData, []byte("\n"), t.PKI.CAIntermediatesData)
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
		case bytes.Equal(certificate.RawIssuer, certificate.RawSubject):
			found.Roots = append(found.Roots, certificate)
		default:
			found.Intermediates = append(found.Intermediates, certificate)
		}
	}
	return found
}
