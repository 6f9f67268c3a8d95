package format_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/evidence/format"
)

// TestWhatIsAsLargeAsItsLimitIsAccepted also tests that a byte more is refused.
func TestWhatIsAsLargeAsItsLimitIsAccepted(t *testing.T) {
	padded := func(raw []byte, size int) []byte {
		return append(raw, bytes.Repeat([]byte{' '}, size-len(raw))...)
	}
	attestation := enveloped(`{"predicateType":"https://slsa.dev/provenance/v1"}`)
	payload := func(size int) []byte {
		file, err := format.SignatureFile(format.SimpleSigning, make([]byte, size), nil)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	ofBundle := func(raw []byte) error { _, err := format.ParseBundle(raw); return err }
	ofSignature := func(file []byte) error { _, err := format.ParseSignature(file); return err }
	for name, test := range map[string]struct {
		parse func([]byte) error
		file  func(size int) []byte
		limit int
	}{
		"a bundle":       {ofBundle, func(size int) []byte { return padded(bundle(1), size) }, format.MaxFile},
		"an attestation": {ofBundle, func(size int) []byte { return padded(attestation, size) }, format.MaxAttestation},
		"a signature": {
			ofSignature, func(size int) []byte { return padded(signature(t, 1), size) }, format.MaxSignatureFile,
		},
		"a payload":       {ofSignature, payload, format.MaxFile},
		"a GPG signature": {ofSignature, func(size int) []byte { return padded([]byte{0x90}, size) }, format.MaxFile},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.parse(test.file(test.limit)); err != nil {
				t.Errorf("%d bytes: %v", test.limit, err)
			}
			if err := test.parse(test.file(test.limit + 1)); err == nil {
				t.Errorf("%d bytes are accepted", test.limit+1)
			}
		})
	}
}

// certificates returns an annotation with as many certificates, which hold the key of a signer.
func certificates(t *testing.T, count int, key any) map[string]string {
	t.Helper()
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key, issuer)
	if err != nil {
		t.Fatal(err)
	}
	one := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return map[string]string{"dev.sigstore.cosign/chain": strings.Repeat(one, count)}
}

// rsaKey is a public key without a private one.
func rsaKey(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits)
	return &rsa.PublicKey{N: n.Sub(n, big.NewInt(1)), E: 65537}
}

func TestCertificatesAreLimited(t *testing.T) {
	bytesOf := func(size int) map[string]string {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: make([]byte, size)}
		return map[string]string{"dev.sigstore.cosign/certificate": string(pem.EncodeToMemory(block))}
	}
	for name, test := range map[string]struct {
		annotations map[string]string
		want        string
	}{
		"nine":                     {certificates(t, 9, rsaKey(2048)), ""},
		"ten":                      {certificates(t, 10, rsaKey(2048)), "more than 9 certificates"},
		"an RSA key of 8192 bits":  {certificates(t, 1, rsaKey(8192)), ""},
		"an RSA key of 8193 bits":  {certificates(t, 1, rsaKey(8193)), "has 8193 bits"},
		"32 KiB of no certificate": {bytesOf(32 << 10), ""},
		"a byte more":              {bytesOf(32<<10 + 1), "has 32769 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := format.CheckCertificates(test.annotations)
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestAttestationsTakeNoRoomFromSignatures(t *testing.T) {
	large := bytes.Repeat([]byte{'x'}, format.MaxTotal)
	all := []format.File{
		{Kind: format.KindAttestation, Bytes: []byte("older")},
		{Kind: format.KindSignature, Bytes: large},
		{Kind: format.KindAttestation, Bytes: large},
	}
	kept, _ := format.Trim(all)
	signatures, attestations := format.Count(kept, format.KindSignature), format.Count(kept, format.KindAttestation)
	if len(kept) != 2 || signatures != 1 || attestations != 1 {
		t.Errorf("%d files are stored, want one signature and one attestation", len(kept))
	}
}
