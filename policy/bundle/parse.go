package bundle

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign/countersign/policy/internal/text"
)

// version is the version of Sigstore's bundle format that cosign 3 writes.
const version = "v0.3"

// Bounds of a bundle. cosign's have some sixty elements and one or two certificates.
const (
	maxElements     = 4096
	maxCertificates = 9
	maxCertificate  = 32 << 10
)

// signed is a bundle, parsed. Nothing in it is verified.
type signed struct {
	// name is that of its file.
	name string
	// attestation, where set, says what it states instead of a signature.
	attestation string
	// problem, where set, says why it meets no requirement, whatever that is.
	problem string

	statement statement
	content   verify.SignatureContent
	// certificate is the signer's, and certificates are those between it and an authority. Without one, hint says which
	// key it is.
	certificate  *x509.Certificate
	certificates []*x509.Certificate
	hint         string
	// timestamped says that a timestamp authority has attested the time.
	timestamped bool

	log  []*rekor.TransparencyLogEntry
	once sync.Once
	read entries
}

// parse parses a bundle.
func parse(name string, raw []byte) *signed {
	s := &signed{name: name}
	if err := s.parse(raw); err != nil {
		s.problem = err.Error()
	}
	return s
}

func (s *signed) parse(raw []byte) error {
	// Each of these becomes a message or a member: this many bytes of them would take a hundred times the room.
	if bytes.Count(raw, []byte{'{'})+bytes.Count(raw, []byte{'['})+bytes.Count(raw, []byte{','}) > maxElements {
		return fmt.Errorf("it has more than %d elements", maxElements)
	}
	message := new(protobundle.Bundle)
	if err := protojson.Unmarshal(raw, message); err != nil {
		return fmt.Errorf("it is no Sigstore bundle: %w", err)
	}
	material := message.GetVerificationMaterial()
	if material == nil {
		return errors.New("it has no verification material")
	}
	// The log's entries are read when a requirement needs a log, and not by sigstore-go's bundle: see entries.
	s.log, material.TlogEntries = material.GetTlogEntries(), nil
	s.timestamped = len(material.GetTimestampVerificationData().GetRfc3161Timestamps()) > 0
	checked, err := check(message)
	if err != nil {
		return err
	}
	if err := s.addEnvelope(checked); err != nil || s.attestation != "" {
		return err
	}
	return s.addSigner(checked)
}

// check has sigstore-go look at a bundle without its log's entries.
func check(message *protobundle.Bundle) (*bundle.Bundle, error) {
	material := message.GetVerificationMaterial()
	certificates := material.GetX509CertificateChain().GetCertificates()
	if len(certificates) > maxCertificates {
		return nil, fmt.Errorf("it has more than %d certificates", maxCertificates)
	}
	for _, certificate := range slices.Concat(certificates, []*common.X509Certificate{material.GetCertificate()}) {
		if len(certificate.GetRawBytes()) > maxCertificate {
			return nil, fmt.Errorf("a certificate has more than %d bytes", maxCertificate)
		}
	}
	// cosign writes a chain where its user gave it one.
	checked, err := bundle.NewBundle(message, bundle.AllowCertificateChain())
	if err != nil {
		return nil, err
	}
	if is, err := checked.Version(); err != nil || is != version {
		return nil, fmt.Errorf("media type %q is not that of a bundle %s", message.GetMediaType(), version)
	}
	return checked, nil
}

// addEnvelope reads what is signed.
func (s *signed) addEnvelope(checked *bundle.Bundle) error {
	envelope := checked.GetDsseEnvelope()
	if envelope == nil {
		return errors.New("it holds no DSSE envelope, in which cosign signs images, but the signature of a message")
	}
	if envelope.GetPayloadType() != payloadType {
		return fmt.Errorf("its payload is of type %q, not %s", envelope.GetPayloadType(), payloadType)
	}
	var err error
	if s.statement, err = parseStatement(envelope.GetPayload()); err != nil {
		return fmt.Errorf("its payload is no in-toto statement: %w", err)
	}
	if s.statement.predicate != signPredicate {
		s.attestation = fmt.Sprintf("%s states %q", s.name, text.Shorten(s.statement.predicate, maxReason))
		return nil
	}
	if s.statement.kind != statementType {
		return fmt.Errorf("its statement is of type %q, not %s", s.statement.kind, statementType)
	}
	if len(envelope.GetPayload()) > maxStatement {
		return fmt.Errorf("its statement has more than %d bytes", maxStatement)
	}
	if count := len(envelope.GetSignatures()); count != 1 {
		return fmt.Errorf("its envelope has %d signatures, and must have one", count)
	}
	s.content, err = checked.SignatureContent()
	return err
}

// addSigner reads who claims to have signed.
func (s *signed) addSigner(checked *bundle.Bundle) error {
	content, err := checked.VerificationContent()
	if err != nil {
		return err
	}
	if public := content.PublicKey(); public != nil {
		s.hint = public.Hint()
		return nil
	}
	s.certificate, s.certificates = content.Certificate(), content.Intermediates()
	for _, certificate := range slices.Concat(s.certificates, []*x509.Certificate{s.certificate}) {
		if public, ok := certificate.PublicKey.(*rsa.PublicKey); ok && public.N.BitLen() > maxRSA {
			return fmt.Errorf("a certificate's RSA key has more than %d bits", maxRSA)
		}
	}
	return nil
}
