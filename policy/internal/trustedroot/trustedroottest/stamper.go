package trustedroottest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha512" // A hash of timestamps.
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
)

// Stamper is a timestamp authority: a root certificate, and a leaf that signs.
type Stamper struct {
	Root, Leaf *x509.Certificate
	key        crypto.Signer
}

// NewStamper creates a timestamp authority whose certificates are valid in that period.
func NewStamper(t testing.TB, period Period) *Stamper {
	t.Helper()
	return NewStamperFor(t, period, TimestampUsage(t, true))
}

// TimestampUsage returns the extension that allows a key to sign timestamps, which must be critical (RFC 3161, 2.3).
func TimestampUsage(t testing.TB, critical bool) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: value}
}

// NewStamperFor creates a timestamp authority whose leaf has these extensions.
func NewStamperFor(t testing.TB, period Period, extensions ...pkix.Extension) *Stamper {
	t.Helper()
	rootKey, leafKey := newKey(t), newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "timestamps"},
		NotBefore: period.Start, NotAfter: period.End,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root := certificate(t, template, template, rootKey.Public(), rootKey)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	leaf := certificate(t, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "timestamps leaf"},
		NotBefore: period.Start, NotAfter: period.End, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: extensions,
	}, root, leafKey.Public(), rootKey)
	return &Stamper{Root: root, Leaf: leaf, key: leafKey}
}

// Stamp returns a response that says that a signature existed at that time.
func (s *Stamper) Stamp(t testing.TB, signature []byte, at time.Time) []byte {
	t.Helper()
	return s.StampAs(t, signature, at, crypto.SHA256, false)
}

// StampAs returns a response with another hash or with the leaf certificate.
func (s *Stamper) StampAs(
	t testing.TB, signature []byte, at time.Time, hash crypto.Hash, withCertificate bool,
) []byte {
	t.Helper()
	hashed := hash.New()
	hashed.Write(signature)
	template := timestamp.Timestamp{
		HashAlgorithm: hash, HashedMessage: hashed.Sum(nil), Time: at,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: withCertificate,
	}
	response, err := template.CreateResponseWithOpts(s.Leaf, s.key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificate(
	t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer,
) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
