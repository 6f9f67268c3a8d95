package bundletest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"
)

// Key is a key pair and its signature algorithm.
type Key struct {
	crypto.Signer
	signer signature.Signer
}

// NewKey creates a key as cosign does: ECDSA on the curve P-256, with SHA-256.
func NewKey(t testing.TB) *Key {
	t.Helper()
	return NewECDSA(t, elliptic.P256(), crypto.SHA256)
}

// NewECDSA creates an ECDSA key. cosign signs with the hash of the curve's size.
func NewECDSA(t testing.TB, curve elliptic.Curve, hash crypto.Hash) *Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadECDSASigner(private, hash)
	return newKey(t, private, signer, err)
}

// NewEd25519 creates an Ed25519 key that signs the message or, if prehashed is set, its hash (Ed25519ph, as cosign
// does).
func NewEd25519(t testing.TB, prehashed bool) *Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if prehashed {
		signer, err := signature.LoadED25519phSigner(private)
		return newKey(t, private, signer, err)
	}
	signer, err := signature.LoadED25519Signer(private)
	return newKey(t, private, signer, err)
}

// NewRSA creates an RSA key with this number of bits, for RSA-PKCS1 v1.5 as cosign signs, or for RSA-PSS.
func NewRSA(t testing.TB, bits int, pss bool) *Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	if pss {
		signer, err := signature.LoadRSAPSSSigner(private, crypto.SHA256, nil)
		return newKey(t, private, signer, err)
	}
	signer, err := signature.LoadRSAPKCS1v15Signer(private, crypto.SHA256)
	return newKey(t, private, signer, err)
}

// NewRSAWith creates an RSA key that signs with another hash than SHA-256.
func NewRSAWith(t testing.TB, hash crypto.Hash) *Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadRSAPKCS1v15Signer(private, hash)
	return newKey(t, private, signer, err)
}

func newKey(t testing.TB, private crypto.Signer, signer signature.Signer, err error) *Key {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return &Key{private, signer}
}

// PEM returns the public key as in policies.
func (k *Key) PEM(t testing.TB) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der(t)})
}

// Hint returns the hint that cosign writes for the key.
func (k *Key) Hint(t testing.TB) string {
	t.Helper()
	sum := sha256.Sum256(k.der(t))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Requirement returns a requirement for a signature by the key, made for the image's repository.
func (k *Key) Requirement(t testing.TB) map[string]any {
	t.Helper()
	return map[string]any{
		"type": "sigstoreSigned", "keyData": k.PEM(t), "signedIdentity": map[string]any{"type": "matchRepository"},
	}
}

func (k *Key) der(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (k *Key) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	raw, err := k.signer.SignMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// KeyOf wraps an existing key: ECDSA on the curve P-256.
func KeyOf(t testing.TB, private crypto.PrivateKey) *Key {
	t.Helper()
	key, ok := private.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("a key of type %T", private)
	}
	signer, err := signature.LoadECDSASigner(key, crypto.SHA256)
	return newKey(t, key, signer, err)
}
