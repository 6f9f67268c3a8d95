package evidence_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
)

// certificateOf returns a certificate for a key, in PEM, with names that make it as long as that.
func certificateOf(t *testing.T, public crypto.PublicKey, longer int) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if public == nil {
		public = key.Public()
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		EmailAddresses: []string{strings.Repeat("x", longer) + "@example.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func keyOf(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits)
	return &rsa.PublicKey{N: n.Sub(n, big.NewInt(1)), E: 65537}
}

// TestCertificatesThatTakeLongToJudgeAreLeftOut, wherever a signature comes from. A key of a megabyte would take an
// hour.
func TestCertificatesThatTakeLongToJudgeAreLeftOut(t *testing.T) {
	small := certificateOf(t, nil, 1)
	const certificate, chain = "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"
	for name, test := range map[string]struct {
		annotations map[string]string
		problem     string
	}{
		"a signer and one above": {map[string]string{certificate: small, chain: small}, ""},
		"a key of 8192 bits":     {map[string]string{certificate: certificateOf(t, keyOf(8192), 1)}, ""},
		"a key of 8193 bits": {
			map[string]string{certificate: certificateOf(t, keyOf(8193), 1)}, "RSA key has 8193 bits",
		},
		"such a key in the chain": {
			map[string]string{chain: small + certificateOf(t, keyOf(65536), 1)}, "RSA key has 65536 bits",
		},
		"nine certificates":  {map[string]string{certificate: small, chain: strings.Repeat(small, 8)}, ""},
		"ten certificates":   {map[string]string{certificate: small, chain: strings.Repeat(small, 9)}, "more than 9"},
		"a long certificate": {map[string]string{chain: certificateOf(t, nil, 40<<10)}, "a certificate has 4"},
		"not a certificate":  {map[string]string{certificate: "hello", chain: "-----BEGIN"}, ""},
		"after something else": {
			map[string]string{chain: "hello\n" + certificateOf(t, keyOf(16384), 1)}, "RSA key has 16384 bits",
		},
		"a signer that does not end": {
			map[string]string{certificate: "-----BEGIN CERTIFICATE-----\nAAAA", chain: certificateOf(t, keyOf(16384), 1)},
			"16384 bits",
		},
		"no line at the end": {
			map[string]string{certificate: strings.TrimSpace(small), chain: certificateOf(t, keyOf(16384), 1)}, "16384 bits",
		},
	} {
		t.Run(name, func(t *testing.T) {
			hostile := signed(2)
			file, err := format.SignatureFile(hostile.mediaType, []byte(hostile.payload), test.annotations)
			if err != nil {
				t.Fatal(err)
			}
			_, err = format.ParseSignature(file)
			if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("by hand: %v", err)
			}
			good, r := signed(1), newRegistry(t)
			r.spoilBy(func(next http.Handler) http.Handler {
				return serving(layersManifest(t, layer(good, len(good.payload)), map[string]any{
					"mediaType": simpleSigning, "digest": digest.FromString(hostile.payload), "size": len(hostile.payload),
					"annotations": test.annotations,
				}), good.payload, hostile.payload)(next)
			})
			got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), manifestOf("image"))
			want := 2
			if test.problem != "" {
				want = 1
			}
			if got.Signatures != want || !strings.Contains(got.Detail, test.problem) {
				t.Errorf("from a registry: %+v", got)
			}
		})
	}
}
