package signaturetest

import (
	"crypto"
	"encoding/pem"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// Sigstore is what one trusts who trusts signatures without keys: a certificate authority, as Fulcio is one, and a
// transparency log, as Rekor is one.
type Sigstore struct {
	Root, Intermediate *Authority
	Log                crypto.Signer
}

// NewSigstore makes an authority and a log that nobody else has.
func NewSigstore(t testing.TB) *Sigstore {
	t.Helper()
	from, to := time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	root := NewAuthority(t, "root", from, to, nil)
	return &Sigstore{
		Root: root, Intermediate: NewAuthority(t, "intermediate", from, to, root), Log: NewKey(t),
	}
}

// Sign signs as someone with this identity would: an hour ago, with a certificate for ten minutes, which has expired
// since. The log's entry proves that it had not by then.
func (s *Sigstore) Sign(t testing.TB, identity Identity, name string, manifest digest.Digest) Signature {
	t.Helper()
	return s.SignAt(t, identity, name, manifest, time.Now().Add(-time.Hour), time.Minute)
}

// SignAt signs with a certificate that is issued at a time, for ten minutes, and has the log record the signature some
// time after that: within these ten minutes, if it is to be valid.
func (s *Sigstore) SignAt(
	t testing.TB, identity Identity, name string, manifest digest.Digest, issued time.Time, later time.Duration,
) Signature {
	t.Helper()
	signer := IssueIdentity(t, s.Intermediate, issued, issued.Add(10*time.Minute), identity)
	return Sign(t, signer.Key, name, manifest).
		Certified(signer, s.Intermediate, s.Root).
		Logged(t, s.Log, signer.PEM, issued.Add(later))
}

// Requirement is the policy requirement of a signature by someone with this identity, made for the image's repository.
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
		t.Fatalf("this is no PEM: %s", raw)
	}
	return block.Bytes
}
