package bundle

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/countersign/countersign/policy/internal/fulcio"
	"github.com/countersign/countersign/policy/internal/trustedroot"
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
	// root, if set, has the certificates instead.
	root *trustedroot.Root
	// signer is the identity in certificates of Fulcio. Without one this is a private PKI, which certifies the address and
	// the host.
	signer          *fulcio.Signer
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
	if a.signer != nil {
		leaf = fulcio.WithoutUnhandledNames(leaf)
	}
	if a.root != nil {
		if err := a.root.VerifyChain(leaf, bundle.certificates, at); err != nil {
			return err
		}
		return a.checkNames(leaf)
	}
	intermediates := a.intermediates
	if vouched := fulcio.Vouched(bundle.certificates, a.trusted); len(vouched) > 0 {
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

// checkNames compares the names in a certificate with those in the policy.
func (a *authority) checkNames(leaf *x509.Certificate) error {
	if a.signer != nil {
		return a.signer.Check(leaf)
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

// until returns when a finding expires, or zero if it never does.
func (r *requirement) until(now time.Time, kept []*signed) time.Time {
	var times []time.Time
	switch {
	case r.authority != nil && r.authority.signer != nil:
		return time.Time{}
	case r.authority != nil:
		times = slices.Clone(r.authority.validityBounds)
	case r.trusted != nil && !r.trusted.unlogged:
		// An entry without a signed time counts as long as its log is valid.
		times = r.trusted.root.LogBounds()
	default:
		return time.Time{}
	}
	until := now.Add(maxFindingAge)
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
