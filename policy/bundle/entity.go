package bundle

import (
	"crypto"
	"crypto/x509"
	"errors"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// entity is a bundle as sigstore-go is to see it: signed by one key, which may be that of a certificate, and recorded
// by at most one entry of a log. The certificate's chain and names are looked at by [authority], as containers/image
// looks at them; whether the log recorded it and whether the key signed what is signed is for sigstore-go to say.
type entity struct {
	content verify.SignatureContent
	signer  signer
	entries []*tlog.Entry
}

// signer is who signed an entity: a key, or a certificate and its key.
type signer struct {
	certificate *x509.Certificate
	public      crypto.PublicKey
}

var (
	_ verify.SignedEntity        = (*entity)(nil)
	_ verify.VerificationContent = signer{}
	_ verify.PublicKeyProvider   = signer{}
)

func (e *entity) SignatureContent() (verify.SignatureContent, error)       { return e.content, nil }
func (e *entity) VerificationContent() (verify.VerificationContent, error) { return e.signer, nil }
func (e *entity) TlogEntries() ([]*tlog.Entry, error)                      { return e.entries, nil }
func (e *entity) Version() (string, error)                                 { return version, nil }

// Timestamps is never asked for: policy.json names no authority that could have made them.
func (e *entity) Timestamps() ([][]byte, error) {
	return nil, errors.New("timestamps are not used")
}

func (e *entity) HasInclusionPromise() bool {
	return len(e.entries) > 0 && e.entries[0].HasInclusionPromise()
}

func (e *entity) HasInclusionProof() bool {
	return len(e.entries) > 0 && e.entries[0].HasInclusionProof()
}

// CompareKey reports whether a log recorded the signature as this signer's.
func (s signer) CompareKey(recorded any, _ root.TrustedMaterial) bool {
	if s.certificate != nil {
		certificate, ok := recorded.(*x509.Certificate)
		return ok && s.certificate.Equal(certificate)
	}
	public, ok := recorded.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(s.public)
}

// ValidAtTime reports whether a signature could be made at that time. A key of a policy does not expire.
func (s signer) ValidAtTime(at time.Time, _ root.TrustedMaterial) bool {
	return s.certificate == nil || !at.Before(s.certificate.NotBefore) && !at.After(s.certificate.NotAfter)
}

// Certificate is nil, for sigstore-go would verify its chain otherwise than containers/image does.
func (s signer) Certificate() *x509.Certificate { return nil }

// Intermediates implements [verify.VerificationContent].
func (s signer) Intermediates() []*x509.Certificate { return nil }

// PublicKey implements [verify.VerificationContent].
func (s signer) PublicKey() verify.PublicKeyProvider { return s }

// Hint implements [verify.PublicKeyProvider]. There is one key to choose from.
func (s signer) Hint() string { return "" }

// material is what one entity is verified by.
type material struct {
	root.BaseTrustedMaterial
	logs     map[string]*root.TransparencyLog
	verifier *verifier
}

// RekorLogs implements [root.TrustedMaterial].
func (m *material) RekorLogs() map[string]*root.TransparencyLog { return m.logs }

// PublicKeyVerifier implements [root.TrustedMaterial].
func (m *material) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return m.verifier, nil
}
