package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// authority is a certificate authority and the identity that its certificate must have. It accepts the certificates
// that containers/image accepts (fulcio_cert.go, pki_cert.go, v5.42.0).
//
// Certificate transparency is not verified: containers/image does not verify SCTs, and policy.json cannot name a
// certificate log. With Fulcio, the entry for the signature contains the certificate.
type authority struct {
	roots, intermediates *x509.CertPool
	// trusted are the certificates in both pools.
	trusted []*x509.Certificate
	// validityBounds are the times at which the policy's certificates become valid and expire.
	validityBounds []time.Time
	// issuer is the OIDC issuer that authenticated the address, with Fulcio. Without one this is a private PKI.
	issuer          string
	email, hostname string
}

// newAuthority parses certificates in PEM. All certificates in roots are trusted, whether they are root certificates or
// not; intermediates are optional.
func newAuthority(roots, between []byte) (*authority, error) {
	a := &authority{roots: x509.NewCertPool(), intermediates: x509.NewCertPool()}
	if !a.roots.AppendCertsFromPEM(roots) {
		return nil, errors.New("the authority has no certificate")
	}
	a.trust(roots)
	if between == nil {
		return a, nil
	}
	certificates, err := cryptoutils.UnmarshalCertificatesFromPEM(between)
	if err != nil {
		return nil, fmt.Errorf("parsing the intermediate certificates: %w", err)
	}
	for _, certificate := range certificates {
		a.intermediates.AddCert(certificate)
	}
	a.trust(between)
	return a, nil
}

// trust adds certificates and their validity bounds. Like a pool, it skips certificates that cannot be parsed.
func (a *authority) trust(certificates []byte) {
	for len(certificates) > 0 {
		var block *pem.Block
		if block, certificates = pem.Decode(certificates); block == nil {
			return
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		a.trusted = append(a.trusted, certificate)
		a.validityBounds = append(a.validityBounds, validityBounds(certificate)...)
	}
}

// validityBounds returns when a certificate becomes valid, and when it is first expired: it is still valid at NotAfter.
func validityBounds(certificate *x509.Certificate) []time.Time {
	return []time.Time{certificate.NotBefore, certificate.NotAfter.Add(time.Nanosecond)}
}

// verifyChain returns nil if the signer of a bundle has a certificate of the authority, valid at that time, for the
// right names.
func (a *authority) verifyChain(bundle *signed, at time.Time) error {
	leaf := bundle.certificate
	if a.issuer != "" {
		leaf = withoutUnhandledNames(leaf)
	}
	intermediates := a.intermediates
	if vouched := a.trustedIntermediates(bundle.certificates); len(vouched) > 0 {
		intermediates = intermediates.Clone()
		for _, certificate := range vouched {
			intermediates.AddCert(certificate)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}); err != nil {
		return fmt.Errorf("its certificate is not accepted: %w", err)
	}
	return a.checkNames(leaf)
}

// trustedIntermediates returns those of a bundle's certificates that a trusted one has signed, directly or through
// others. No other can be part of a chain. Without this filter, nine certificates with the same name and large keys,
// each signed by the others, would cost a hundred verifications by keys of the attacker's choice.
func (a *authority) trustedIntermediates(certificates []*x509.Certificate) (vouched []*x509.Certificate) {
	rest, by := slices.Clone(certificates), a.trusted
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

// withoutUnhandledNames returns the certificate as one without unhandled extensions if Go cannot parse its alternative
// names: Fulcio writes names of a kind that Go does not support. checkNames then finds no names in it.
func withoutUnhandledNames(leaf *x509.Certificate) *x509.Certificate {
	if !slices.ContainsFunc(leaf.UnhandledCriticalExtensions, cryptoutils.SANOID.Equal) {
		return leaf
	}
	// Other goroutines may read the certificate.
	handled := *leaf
	handled.UnhandledCriticalExtensions = slices.DeleteFunc(
		slices.Clone(leaf.UnhandledCriticalExtensions), cryptoutils.SANOID.Equal)
	return &handled
}

// checkNames compares the names in a certificate with those in the policy.
func (a *authority) checkNames(leaf *x509.Certificate) error {
	if a.issuer != "" {
		issuer, err := issuerIn(leaf)
		if err != nil {
			return err
		}
		if issuer != a.issuer {
			return fmt.Errorf("the OIDC issuer in its certificate is %q, not %q", issuer, a.issuer)
		}
	}
	if a.email != "" && !slices.Contains(leaf.EmailAddresses, a.email) {
		return fmt.Errorf("its certificate is for %q, not for the e-mail address %q", leaf.EmailAddresses, a.email)
	}
	if a.hostname != "" {
		if err := leaf.VerifyHostname(a.hostname); err != nil {
			return fmt.Errorf("its certificate is not for the host %q: %w", a.hostname, err)
		}
	}
	return nil
}

// issuerIn returns the OIDC issuer in a certificate of Fulcio: a raw string, a string in DER, or both if they are
// equal.
func issuerIn(leaf *x509.Certificate) (string, error) {
	var found []string
	for _, extension := range leaf.Extensions {
		switch {
		case extension.Id.Equal(certificate.OIDIssuer): //nolint:staticcheck // Deprecated, but certificates still have it.
			found = append(found, string(extension.Value))
		case extension.Id.Equal(certificate.OIDIssuerV2):
			var issuer string
			if rest, err := asn1.Unmarshal(extension.Value, &issuer); err != nil || len(rest) > 0 {
				return "", errors.New("the OIDC issuer in its certificate is malformed")
			}
			found = append(found, issuer)
		}
	}
	switch {
	case len(found) == 0:
		return "", errors.New("its certificate has no OIDC issuer")
	case slices.ContainsFunc(found, func(issuer string) bool { return issuer != found[0] }):
		return "", fmt.Errorf("its certificate has several OIDC issuers: %q", found)
	default:
		return found[0], nil
	}
}

// until returns when a finding expires, or zero if it never does.
func (r *requirement) until(now time.Time, kept []*signed) time.Time {
	if r.authority == nil || r.authority.issuer != "" {
		return time.Time{}
	}
	until := now.Add(maxFindingAge)
	times := slices.Clone(r.authority.validityBounds)
	for _, bundle := range kept {
		for _, certificate := range bundle.certificates {
			times = append(times, validityBounds(certificate)...)
		}
		if bundle.certificate != nil {
			times = append(times, validityBounds(bundle.certificate)...)
		}
	}
	for _, edge := range times {
		if edge.After(now) && edge.Before(until) {
			until = edge
		}
	}
	return until
}

// maxFindingAge is how long a finding that depends on the time of day is valid.
const maxFindingAge = time.Hour
