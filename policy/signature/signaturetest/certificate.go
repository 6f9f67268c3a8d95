package signaturetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// Authority is a certificate and its key: a root, an intermediate or a signer.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	PEM         []byte // The certificate.
}

// NewAuthority creates a root, or an intermediate of another authority.
func NewAuthority(t testing.TB, name string, from, to time.Time, parent *Authority) *Authority {
	t.Helper()
	return Issue(t, parent, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

// Issue creates a certificate for a new key; without a parent it is self-signed.
func Issue(t testing.TB, parent *Authority, template *x509.Certificate) *Authority {
	t.Helper()
	key := NewKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	issuer, signer := template, crypto.Signer(key)
	if parent != nil {
		issuer, signer = parent.Certificate, parent.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// Identity is the identity of a keyless signer: an e-mail address, and the OIDC issuer that authenticated it.
type Identity struct{ Email, Issuer string }

// IssueIdentity creates a certificate as Fulcio does: for the address, with the OIDC issuer in both of Fulcio's
// extensions for it, the raw string (1.3.6.1.4.1.57264.1.1) and the DER string (1.3.6.1.4.1.57264.1.8).
func IssueIdentity(t testing.TB, parent *Authority, from, to time.Time, identity Identity) *Authority {
	t.Helper()
	encoded, err := asn1.MarshalWithParams(identity.Issuer, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	fulcio := func(extension int, value []byte) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, extension}, Value: value}
	}
	return Issue(t, parent, &x509.Certificate{
		NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses:  []string{identity.Email},
		ExtraExtensions: []pkix.Extension{fulcio(1, []byte(identity.Issuer)), fulcio(8, encoded)},
	})
}

// NewKey creates an ECDSA key as cosign does.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PublicPEM returns a public key as in policies.
func PublicPEM(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
