package bundletest

import (
	"crypto/x509"
	"slices"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign/countersign/policy/internal/trustedroot/trustedroottest"
)

// TrustedRoot returns a trusted root with the authorities and the log.
func (s *Sigstore) TrustedRoot(t testing.TB) trustedroottest.File {
	t.Helper()
	authority, isAuthority := s.FulcioCertificateAuthorities()[0].(*root.FulcioCertificateAuthority)
	stamper, isStamper := s.TimestampingAuthorities()[0].(*root.SigstoreTimestampingAuthority)
	if !isAuthority || !isStamper {
		t.Fatal("an authority is of an unexpected type")
	}
	around := trustedroottest.Around()
	file := trustedroottest.NewFile().
		Authority(around, append(slices.Clone(authority.Intermediates), authority.Root)...).
		Stamper(around, slices.Concat([]*x509.Certificate{stamper.Leaf}, stamper.Intermediates,
			[]*x509.Certificate{stamper.Root})...)
	for _, log := range s.RekorLogs() {
		file.Log(t, around, log.BaseURL, log.PublicKey)
	}
	return file
}

// Rooted returns a requirement for a signature with this identity, by a trusted root, made for the image's repository.
func Rooted(t testing.TB, file trustedroottest.File, identity Identity) map[string]any {
	t.Helper()
	return map[string]any{
		"type":            "sigstoreSigned",
		"trustedRootData": file.JSON(t),
		"fulcio":          map[string]any{"oidcIssuer": identity.Issuer, "subjectEmail": identity.Email},
		"signedIdentity":  map[string]any{"type": "matchRepository"},
	}
}
