package signature_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestTheHashWithWhichAKeySigns compares docs/policy.md with what containers/image accepts of cosign 3.1.3's hashes in
// the old format.
func TestTheHashWithWhichAKeySigns(t *testing.T) {
	manifest := signaturetest.Manifest("app")
	ecdsaKey := func(curve elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key crypto.Signer
		// options describe how the statement is hashed. Zero hash: it is signed without hashing.
		options crypto.SignerOpts
		// detail is part of a refusal's detail; empty: the signature is accepted.
		detail string
	}{
		"P-256, as cosign":            {ecdsaKey(elliptic.P256()), crypto.SHA256, ""},
		"RSA, as cosign":              {rsaKey, crypto.SHA256, ""},
		"P-384, as cosign":            {ecdsaKey(elliptic.P384()), crypto.SHA384, "(ECDSA on P-384, for which"},
		"P-384 with SHA-256":          {ecdsaKey(elliptic.P384()), crypto.SHA256, ""},
		"P-521, as cosign":            {ecdsaKey(elliptic.P521()), crypto.SHA512, "(ECDSA on P-521, for which"},
		"P-521 with SHA-256":          {ecdsaKey(elliptic.P521()), crypto.SHA256, ""},
		"Ed25519, as cosign":          {edwards, crypto.SHA512, "(Ed25519, for which"},
		"Ed25519 without hash before": {edwards, crypto.Hash(0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			signed := signaturetest.Sign(t, signaturetest.NewKey(t), appReference, digest.FromBytes(manifest))
			hashed := signed.Payload
			if hash := test.options.HashFunc(); hash != 0 {
				state := hash.New()
				_, _ = state.Write(hashed)
				hashed = state.Sum(nil)
			}
			raw, err := test.key.Sign(rand.Reader, hashed, test.options)
			if err != nil {
				t.Fatal(err)
			}
			signed.Annotations["dev.cosignproject.cosign/signature"] = base64.StdEncoding.EncodeToString(raw)
			app := newSample(t, manifest, signed.File(t))
			requirement := parse(t, sigstoreSigned(`"keyData":`+data(signaturetest.PublicPEM(t, test.key.Public())), ""))[0]
			finding := signature.NewJudge().Judge(t.Context(), app.request(requirement, named(t, appReference)))
			if finding.Met != (test.detail == "") || !strings.Contains(finding.Detail, test.detail) {
				t.Errorf("met %t: %s\nlacks %q", finding.Met, finding.Detail, test.detail)
			}
			if !finding.Met && !strings.Contains(finding.Detail, "; the requirement trusts sha256:") {
				t.Errorf("it names no key: %s", finding.Detail)
			}
		})
	}
}
