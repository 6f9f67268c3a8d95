package fulcio

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certified is a certificate and its key.
type certified struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// certify creates a certificate with a subject, signed with another's key for the given issuer name; without a key it
// is self-signed.
func certify(t *testing.T, subject, issuer string, by *ecdsa.PrivateKey) certified {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certified{parsed, key}
}

// TestOnlyVouchedCertificatesAreChained: a chain is searched among all candidates, with as many verifications as their
// names allow.
func TestOnlyVouchedCertificatesAreChained(t *testing.T) {
	root := certify(t, "root", "root", nil)
	first := certify(t, "first", "root", root.key)
	second := certify(t, "second", "first", first.key)
	third := certify(t, "third", "second", second.key)
	stranger := certify(t, "root", "root", nil)
	ring := []*x509.Certificate{stranger.Certificate}
	for range 8 {
		ring = append(ring, certify(t, "root", "root", stranger.key).Certificate)
	}
	for name, test := range map[string]struct {
		brought, want []*x509.Certificate
	}{
		"nothing":                  {nil, nil},
		"a chain":                  {list(first, second, third), list(first, second, third)},
		"a chain upside down":      {list(third, second, first), list(first, second, third)},
		"a chain with a gap":       {list(third, first), list(first)},
		"one named like the root":  {ring, nil},
		"one with a wrong issuer":  {list(certify(t, "x", "root", stranger.key)), nil},
		"a chain among other ones": {append(list(second, stranger), append(ring, first.Certificate)...), list(first, second)},
		"the root itself":          {list(root), list(root)},
	} {
		t.Run(name, func(t *testing.T) {
			got := Vouched(test.brought, list(root))
			if diff := cmp.Diff(serials(test.want), serials(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func list(all ...certified) (certificates []*x509.Certificate) {
	for _, one := range all {
		certificates = append(certificates, one.Certificate)
	}
	return certificates
}

// serials identifies certificates by their signed bytes.
func serials(all []*x509.Certificate) (texts []string) {
	for _, one := range all {
		texts = append(texts, fmt.Sprintf("%s %x", one.Subject.CommonName, one.RawSubjectPublicKeyInfo))
	}
	return texts
}
