package signature_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// leaf is a code-signing certificate for a person and a host.
func leaf(t testing.TB, parent *signaturetest.Authority, from, to time.Time) *signaturetest.Authority {
	t.Helper()
	return signaturetest.Issue(t, parent, &x509.Certificate{
		Subject: pkix.Name{CommonName: "build"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: []string{"build@example.com"}, DNSNames: []string{"build.example.com"},
	})
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

// keyring returns the public part of OpenPGP keys, in binary.
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

// gpgStatement is the statement in an OpenPGP message: an image with this digest is appReference. Unlike in cosign's
// payloads, containers/image accepts no null for the optional members.
func gpgStatement(manifest digest.Digest) []byte {
	return []byte(data(map[string]any{
		"critical": map[string]any{
			"type":     "atomic container signature",
			"image":    map[string]any{"docker-manifest-digest": manifest},
			"identity": map[string]any{"docker-reference": appReference},
		},
		"optional": map[string]any{},
	}))
}

// gpgSigned returns a simple signing signature for appReference.
func gpgSigned(t testing.TB, entity *openpgp.Entity, manifest digest.Digest) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer, err := openpgp.Sign(&buffer, entity, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(gpgStatement(manifest)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}
