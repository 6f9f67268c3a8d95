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

// What cosign 3 writes.
const (
	MediaType     = "application/vnd.dev.sigstore.bundle.v0.3+json"
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://sigstore.dev/cosign/sign/v1"
)

// Bundle is a bundle that tests may still change. A change makes its signature wrong, or what the log recorded.
type Bundle struct{ *protobundle.Bundle }

// Sign signs by a key that an image with this digest may go by this name, or, without one, that the image is signed.
func Sign(t testing.TB, key *Key, manifest digest.Digest, name string) Bundle {
	t.Helper()
	return SignStatement(t, key, NewStatement(manifest, name).JSON(t))
}

// SignStatement signs whatever it is given as the statement.
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

// JSON is the bundle as it is stored.
func (b Bundle) JSON(t testing.TB) []byte {
	t.Helper()
	raw, err := protojson.Marshal(b.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Clone returns a bundle that can be changed without changing this one.
func (b Bundle) Clone() Bundle {
	return Bundle{proto.CloneOf(b.Bundle)}
}

// Certified puts the signer's certificate in the place of the key's hint. With others above it, this is a chain, as
// cosign writes it where it is given one.
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

// Statement is what is signed: an in-toto statement.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

// Subject is what a statement speaks of.
type Subject struct {
	Digest      map[string]string `json:"digest"`
	Annotations map[string]any    `json:"annotations"`
}

// NewStatement is the statement that cosign signs, of an image with this digest. The name is the annotation
// docker-reference, which is not there if it is empty.
func NewStatement(manifest digest.Digest, name string) Statement {
	return Statement{
		Type: StatementType, Subject: []Subject{NewSubject(manifest, name)}, PredicateType: PredicateType,
		Predicate: struct{}{},
	}
}

// NewSubject is an image with this digest and, unless it is empty, this name.
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

// JSON is the statement as it is signed.
func (s Statement) JSON(t testing.TB) []byte {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
