package signature_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// authority is a certificate and its key.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// newAuthority returns a root, or an intermediate of another authority.
func newAuthority(t testing.TB, name string, from, to time.Time, parent *authority) *authority {
	t.Helper()
	return issue(t, parent, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

// issue makes a certificate; without a parent it signs itself.
func issue(t testing.TB, parent *authority, template *x509.Certificate) *authority {
	t.Helper()
	key := newKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	issuer, signer := template, crypto.Signer(key)
	if parent != nil {
		issuer, signer = parent.certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// leaf is a certificate for signing code.
func leaf(t testing.TB, parent *authority, from, to time.Time) *authority {
	t.Helper()
	return issue(t, parent, &x509.Certificate{
		Subject: pkix.Name{CommonName: "build"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: []string{"build@example.com"}, DNSNames: []string{"build.example.com"},
	})
}

// fulcioLeaf is a certificate as Fulcio issues them, with the OIDC issuer in an extension.
func fulcioLeaf(t testing.TB, parent *authority, from, to time.Time, issuer string) *authority {
	t.Helper()
	return issue(t, parent, &x509.Certificate{
		NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: []string{"build@example.com"},
		ExtraExtensions: []pkix.Extension{{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer),
		}},
	})
}

// certified is the annotations of a signature with a certificate.
func certified(leaf *authority, chain ...*authority) map[string]string {
	annotations := map[string]string{"dev.sigstore.cosign/certificate": string(leaf.pem)}
	var all string
	for _, one := range chain {
		all += string(one.pem)
	}
	if all != "" {
		annotations["dev.sigstore.cosign/chain"] = all
	}
	return annotations
}
