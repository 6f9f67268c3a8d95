package signaturetest

import (
	"crypto"
	"encoding/pem"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// Sigstore is the set of services that a keyless signature needs: a certificate authority like Fulcio, and a
// transparency log like Rekor.
type Sigstore struct {
	Root, Intermediate *Authority
	Log                crypto.Signer
}

// NewSigstore creates an authority and a log with new keys.
func NewSigstore(t testing.TB) *Sigstore {
	t.Helper()
	from, to := time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	root := NewAuthority(t, "root", from, to, nil)
	return &Sigstore{
		Root: root, Intermediate: NewAuthority(t, "intermediate", from, to, root), Log: NewKey(t),
	}
}

// Sign signs with this identity: an hour ago, with a certificate for ten minutes, which has expired since. The log's
// entry proves that it had not expired then.
func (s *Sigstore) Sign(t testing.TB, identity Identity, name string, manifest digest.Digest) Signature {
	t.Helper()
	return s.SignAt(t, identity, name, manifest, time.Now().Add(-time.Hour), time.Minute)
}

// SignAt signs with a certificate that is issued at a time for ten minutes. The log records the signature some time
// after that, which must be within these ten minutes for a valid signature.
func (s *Sigstore) SignAt(
	t testing.TB, identity Identity, name string, manifest digest.Digest, issued time.Time, later time.Duration,
) Signature {
	t.Helper()
	signer := IssueIdentity(t, s.Intermediate, issued, issued.Add(10*time.Minute), identity)
	return Sign(t, signer.Key, name, manifest).
		Certified(signer, s.Intermediate, s.Root).
		Logged(t, s.Log, signer.PEM, issued.Add(later))
}

// Requirement returns a requirement for a signature with this identity, made for the image's repository.
func (s *Sigstore) Requirement(t testing.TB, identity Identity) map[string]any {
	t.Helper()
	return map[string]any{
		"type": "sigstoreSigned",
		"fulcio": map[string]any{
			"caData": s.Root.PEM, "oidcIssuer": identity.Issuer, "subjectEmail": identity.Email,
		},
		"rekorPublicKeyData": PublicPEM(t, s.Log.Public()),
		"signedIdentity":     map[string]any{"type": "matchRepository"},
	}
}

func decodePEM(t testing.TB, raw []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(raw)
	if block == nil {
		t.Fatalf("not PEM: %s", raw)
	}
	return block.Bytes
}
