package signature_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"
)

const simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"

// newKey returns an ECDSA key as cosign generates them.
func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicPEM(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// statement is what is signed: that an image with this digest may go by this name.
func statement(kind, identity string, manifest digest.Digest) []byte {
	return []byte(data(map[string]any{
		"critical": map[string]any{
			"type":     kind,
			"image":    map[string]any{"docker-manifest-digest": manifest},
			"identity": map[string]any{"docker-reference": identity},
		},
		"optional": map[string]any{},
	}))
}

// cosigned is a signature in the format of cosign 2, with annotations for whatever goes beside it.
func cosigned(t testing.TB, key crypto.Signer, identity string, manifest digest.Digest,
	extra ...map[string]string,
) []byte {
	t.Helper()
	payload := statement("cosign container image signature", identity, manifest)
	annotations := map[string]string{"dev.cosignproject.cosign/signature": sign(t, key, payload)}
	for _, more := range extra {
		maps.Copy(annotations, more)
	}
	return sigstoreFile(simpleSigningType, payload, annotations)
}

// sign returns a signature in base64.
func sign(t testing.TB, key crypto.Signer, payload []byte) string {
	t.Helper()
	hash := sha256.Sum256(payload)
	raw, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// sigstoreFile is a signature as the dir: transport of containers/image stores it.
func sigstoreFile(mimeType string, payload []byte, annotations map[string]string) []byte {
	return append([]byte("\x00sigstore-json\n"), data(map[string]any{
		"mimeType": mimeType, "payload": payload, "annotations": annotations,
	})...)
}

// logged is a signature that a Rekor server with the given key has recorded, under the signer's key or certificate, for
// appReference.
func logged(t testing.TB, rekor, key crypto.Signer, keyOrCertificate []byte, at time.Time,
	manifest digest.Digest, extra ...map[string]string,
) []byte {
	t.Helper()
	payload := statement("cosign container image signature", appReference, manifest)
	signature := sign(t, key, payload)
	hash := sha256.Sum256(payload)
	body := data(map[string]any{
		"apiVersion": "0.0.1",
		"kind":       "hashedrekord",
		"spec": map[string]any{
			"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(hash[:])}},
			"signature": map[string]any{"content": signature, "publicKey": map[string]any{"content": keyOrCertificate}},
		},
	})
	// Sorted names, no spaces and plain ASCII are the canonical form.
	entry := json.RawMessage(data(map[string]any{
		"body": []byte(body), "integratedTime": at.Unix(), "logIndex": 1, "logID": "c0ffee",
	}))
	annotations := map[string]string{
		"dev.cosignproject.cosign/signature": signature,
		"dev.sigstore.cosign/bundle": data(map[string]any{
			"SignedEntryTimestamp": sign(t, rekor, entry), "Payload": entry,
		}),
	}
	for _, more := range extra {
		maps.Copy(annotations, more)
	}
	return sigstoreFile(simpleSigningType, payload, annotations)
}

// newGPGKey returns an OpenPGP key.
func newGPGKey(t testing.TB, config *packet.Config) *openpgp.Entity {
	t.Helper()
	entity, err := openpgp.NewEntity("Release", "", "release@example.com", config)
	if err != nil {
		t.Fatal(err)
	}
	return entity
}

// keyring is the public part of OpenPGP keys, in binary.
func keyring(t testing.TB, entities ...*openpgp.Entity) []byte {
	t.Helper()
	var buffer bytes.Buffer
	for _, entity := range entities {
		if err := entity.Serialize(&buffer); err != nil {
			t.Fatal(err)
		}
	}
	return buffer.Bytes()
}

func armored(t testing.TB, ring []byte) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer, err := armor.Encode(&buffer, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(ring); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// gpgSigned is a simple signing signature for appReference.
func gpgSigned(t testing.TB, entity *openpgp.Entity, manifest digest.Digest) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer, err := openpgp.Sign(&buffer, entity, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(statement("atomic container signature", appReference, manifest)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// manifestOf is a manifest that no other test has.
func manifestOf(name string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[]}`,
		digest.FromString(name))
}
