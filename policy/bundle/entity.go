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

// entity presents a bundle to sigstore-go: signed with one key, which may be the key of a certificate, and recorded by
// at most one log entry. [authority] verifies the certificate's chain and names, as containers/image does; sigstore-go
// verifies the log's entry and the signature.
type entity struct {
	content verify.SignatureContent
	signer  signer
	entries []*tlog.Entry
}

// signer is the signer of an entity: a key, or a certificate and its key.
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

// Timestamps is never called: the times of timestamp authorities are verified before.
func (e *entity) Timestamps() ([][]byte, error) {
	return nil, errors.New("timestamps are not used")
}

func (e *entity) HasInclusionPromise() bool {
	return len(e.entries) > 0 && e.entries[0].HasInclusionPromise()
}

func (e *entity) HasInclusionProof() bool {
	return len(e.entries) > 0 && e.entries[0].HasInclusionProof()
}

// CompareKey reports whether a log recorded the signature for this signer.
func (s signer) CompareKey(recorded any, _ root.TrustedMaterial) bool {
	if s.certificate != nil {
		certificate, ok := recorded.(*x509.Certificate)
		return ok && s.certificate.Equal(certificate)
	}
	public, ok := recorded.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(s.public)
}

// ValidAtTime reports whether a signature at that time is valid. Keys in a policy do not expire.
func (s signer) ValidAtTime(at time.Time, _ root.TrustedMaterial) bool {
	return s.certificate == nil || !at.Before(s.certificate.NotBefore) && !at.After(s.certificate.NotAfter)
}

// Certificate returns nil, because sigstore-go would verify its chain differently from containers/image.
func (s signer) Certificate() *x509.Certificate { return nil }

// Intermediates implements [verify.VerificationContent].
func (s signer) Intermediates() []*x509.Certificate { return nil }

// PublicKey implements [verify.VerificationContent].
func (s signer) PublicKey() verify.PublicKeyProvider { return s }

// Hint implements [verify.PublicKeyProvider]. There is only one key.
func (s signer) Hint() string { return "" }

// material is the trusted material for one entity.
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
