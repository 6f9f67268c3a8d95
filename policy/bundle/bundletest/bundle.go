package bundletest

import (
	"crypto/x509"
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The format that cosign 3 writes.
const (
	MediaType     = "application/vnd.dev.sigstore.bundle.v0.3+json"
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://sigstore.dev/cosign/sign/v1"
)

// Bundle is a bundle that tests may change. A change makes its signature or its log entry invalid.
type Bundle struct{ *protobundle.Bundle }

// Sign signs with a key that an image with this digest has this name or, without a name, only that the image is signed.
func Sign(t testing.TB, key *Key, manifest digest.Digest, name string) Bundle {
	t.Helper()
	return SignStatement(t, key, NewStatement(manifest, name).JSON(t))
}

// SignStatement signs any statement.
func SignStatement(t testing.TB, key *Key, statement []byte) Bundle {
	t.Helper()
	raw := key.sign(t, dsse.PAE(PayloadType, statement))
	return Bundle{&protobundle.Bundle{
		MediaType: MediaType,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{
				PublicKey: &common.PublicKeyIdentifier{Hint: key.Hint(t)},
			},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: statement, PayloadType: PayloadType, Signatures: []*protodsse.Signature{{Sig: raw}},
		}},
	}}
}

// JSON returns the bundle as it is stored.
func (b Bundle) JSON(t testing.TB) []byte {
	t.Helper()
	raw, err := protojson.Marshal(b.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Clone returns a deep copy.
func (b Bundle) Clone() Bundle {
	return Bundle{proto.CloneOf(b.Bundle)}
}

// Certified replaces the key's hint by the signer's certificate. If there are certificates above it, they form a chain,
// as cosign writes it if a chain is given.
func (b Bundle) Certified(certificate *x509.Certificate, above ...*x509.Certificate) Bundle {
	leaf := &common.X509Certificate{RawBytes: certificate.Raw}
	if len(above) == 0 {
		b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: leaf}
		return b
	}
	chain := &common.X509CertificateChain{Certificates: []*common.X509Certificate{leaf}}
	for _, authority := range above {
		chain.Certificates = append(chain.Certificates, &common.X509Certificate{RawBytes: authority.Raw})
	}
	b.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
	return b
}

// Statement is an in-toto statement, the payload that is signed.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

// Subject is a subject of a statement.
type Subject struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]any    `json:"annotations,omitzero"`
}

// NewStatement returns the statement that cosign signs for an image with this digest. The name is the annotation
// docker-reference, which is absent if the name is empty.
func NewStatement(manifest digest.Digest, name string) Statement {
	return Statement{
		Type: StatementType, Subject: []Subject{NewSubject(manifest, name)}, PredicateType: PredicateType,
		Predicate: struct{}{},
	}
}

// NewSubject returns a subject with the digest of an image and, unless it is empty, this name.
func NewSubject(manifest digest.Digest, name string) Subject {
	subject := Subject{
		Digest:      map[string]string{manifest.Algorithm().String(): manifest.Encoded()},
		Annotations: map[string]any{},
	}
	if name != "" {
		subject.Annotations["docker-reference"] = name
	}
	return subject
}

// JSON returns the statement as it is signed.
func (s Statement) JSON(t testing.TB) []byte {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Stamp adds a response of a timestamp authority.
func (b Bundle) Stamp(response []byte) {
	material := b.VerificationMaterial
	if material.TimestampVerificationData == nil {
		material.TimestampVerificationData = new(protobundle.TimestampVerificationData)
	}
	material.TimestampVerificationData.Rfc3161Timestamps = append(
		material.TimestampVerificationData.Rfc3161Timestamps, &common.RFC3161SignedTimestamp{SignedTimestamp: response})
}
