package trustedroot

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign/countersign/policy/internal/fulcio"
)

// authority is a certificate authority.
type authority struct {
	roots, intermediates *x509.CertPool
	// trusted are the certificates in both pools.
	trusted    []*x509.Certificate
	start, end time.Time
}

func newAuthority(from *root.FulcioCertificateAuthority) *authority {
	a := &authority{
		roots: x509.NewCertPool(), intermediates: x509.NewCertPool(),
		trusted: append(slices.Clone(from.Intermediates), from.Root),
		start:   from.ValidityPeriodStart, end: from.ValidityPeriodEnd,
	}
	a.roots.AddCert(from.Root)
	for _, certificate := range from.Intermediates {
		a.intermediates.AddCert(certificate)
	}
	return a
}

// VerifyChain returns nil if an authority that was valid at that time has issued the certificate, directly or through
// intermediates: its own or, as a signature may bring them, the given ones.
func (r *Root) VerifyChain(leaf *x509.Certificate, above []*x509.Certificate, at time.Time) error {
	if len(r.authorities) == 0 {
		return errors.New("the trusted root has no certificate authority")
	}
	var failure error
	for _, authority := range r.authorities {
		if !within(at, authority.start, authority.end) {
			continue
		}
		err := authority.verify(leaf, above, at)
		if err == nil {
			return nil
		}
		if failure == nil {
			failure = fmt.Errorf("its certificate is not accepted: %w", err)
		}
	}
	if failure == nil {
		return fmt.Errorf("no certificate authority of the trusted root is valid at %s", at.UTC().Format(time.RFC3339))
	}
	return failure
}

func (a *authority) verify(leaf *x509.Certificate, above []*x509.Certificate, at time.Time) error {
	intermediates := a.intermediates
	if vouched := fulcio.Vouched(above, a.trusted); len(vouched) > 0 {
		intermediates = intermediates.Clone()
		for _, certificate := range vouched {
			intermediates.AddCert(certificate)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	return err
}
