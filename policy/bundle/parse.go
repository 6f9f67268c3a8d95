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
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign/countersign/policy/text"
)

// version is the version of the bundle format that cosign 3 writes. In oldVersion, a log entry may have a promise
// instead of a proof: attestations of cosign's old format are stored so.
const (
	version    = "v0.3"
	oldVersion = "v0.1"
)

// Limits of a bundle. cosign's have about sixty elements and one or two certificates.
const (
	maxElements     = 4096
	maxCertificates = 9
	maxCertificate  = 32 << 10
)

// signed is a parsed bundle. Nothing in it has been verified.
type signed struct {
	// name is the name of its file.
	name string
	// attestation, if set, describes the attestation that this bundle is instead of a signature.
	attestation string
	// problem, if set, is why it meets no requirement.
	problem string
	// old reports whether it has oldVersion.
	old bool

	statement statement
	content   verify.SignatureContent
	// certificate is the signer's, and certificates are the intermediates. Without a certificate, hint identifies the key.
	certificate  *x509.Certificate
	certificates []*x509.Certificate
	hint         string
	// payload is the statement of an attestation.
	payload []byte
	// timestamps are responses of timestamp authorities (RFC 3161).
	timestamps [][]byte

	log  []*rekor.TransparencyLogEntry
	once sync.Once
	read entries
}

// parse parses a bundle that should be a signature.
func parse(name string, raw []byte) *signed {
	s := &signed{name: name}
	err := s.parse(raw, s.addSignature)
	if err == nil && s.old {
		err = fmt.Errorf("it is a bundle %s, and a signature is one of %s", oldVersion, version)
	}
	if err != nil {
		s.problem = err.Error()
	}
	return s
}

// parseAttestation parses a bundle that should be an attestation.
func parseAttestation(name string, raw []byte) *signed {
	s := &signed{name: name}
	if err := s.parse(raw, s.addAttestation); err != nil {
		s.problem = err.Error()
	}
	return s
}

func (s *signed) parse(raw []byte, addStatement func(*protodsse.Envelope) error) error {
	// Each of these becomes a message or a member, which takes about a hundred times the memory.
	if bytes.Count(raw, []byte{'{'})+bytes.Count(raw, []byte{'['})+bytes.Count(raw, []byte{','}) > maxElements {
		return fmt.Errorf("it has more than %d elements", maxElements)
	}
	message := new(protobundle.Bundle)
	if err := protojson.Unmarshal(raw, message); err != nil {
		return fmt.Errorf("it is not a Sigstore bundle: %w", err)
	}
	material := message.GetVerificationMaterial()
	if material == nil {
		return errors.New("it has no verification material")
	}
	// The log's entries are parsed when a requirement needs a log, and not by sigstore-go's bundle: see entries.
	s.log, material.TlogEntries = material.GetTlogEntries(), nil
	for _, one := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
		s.timestamps = append(s.timestamps, one.GetSignedTimestamp())
	}
	checked, err := check(message)
	if err != nil {
		return err
	}
	s.old = isOld(message)
	if err := s.addEnvelope(checked, addStatement); err != nil || s.attestation != "" {
		return err
	}
	return s.addSigner(checked)
}

// check validates a bundle with sigstore-go, without the log's entries.
func check(message *protobundle.Bundle) (*bundle.Bundle, error) {
	material := message.GetVerificationMaterial()
	certificates := material.GetX509CertificateChain().GetCertificates()
	if len(certificates) > maxCertificates {
		return nil, fmt.Errorf("it has more than %d certificates", maxCertificates)
	}
	for _, certificate := range slices.Concat(certificates, []*common.X509Certificate{material.GetCertificate()}) {
		if len(certificate.GetRawBytes()) > maxCertificate {
			return nil, fmt.Errorf("a certificate is larger than %d bytes", maxCertificate)
		}
	}
	if isOld(message) {
		return bundle.NewBundle(message)
	}
	// cosign writes a chain if the user provides one.
	checked, err := bundle.NewBundle(message, bundle.AllowCertificateChain())
	if err != nil {
		return nil, err
	}
	if is, err := checked.Version(); err != nil || is != version {
		return nil, fmt.Errorf("media type %q is not that of a bundle %s", message.GetMediaType(), version)
	}
	return checked, nil
}

// isOld reports whether a bundle has the oldVersion.
func isOld(message *protobundle.Bundle) bool {
	is, err := (&bundle.Bundle{Bundle: message}).Version()
	return err == nil && is == oldVersion
}

// addEnvelope parses the envelope and its statement.
func (s *signed) addEnvelope(checked *bundle.Bundle, addStatement func(*protodsse.Envelope) error) error {
	envelope := checked.GetDsseEnvelope()
	if envelope == nil {
		return errors.New("it contains a message signature instead of a DSSE envelope, which cosign uses to sign images")
	}
	if envelope.GetPayloadType() != payloadType {
		return fmt.Errorf("its payload is of type %q, not %s", envelope.GetPayloadType(), payloadType)
	}
	var err error
	if s.statement, err = parseStatement(envelope.GetPayload()); err != nil {
		return fmt.Errorf("its payload is not an in-toto statement: %w", err)
	}
	if err := addStatement(envelope); err != nil || s.attestation != "" {
		return err
	}
	if count := len(envelope.GetSignatures()); count != 1 {
		return fmt.Errorf("its envelope has %d signatures, and must have one", count)
	}
	s.content, err = checked.SignatureContent()
	return err
}

// addSignature checks the statement of a signature, unless it is one of an attestation.
func (s *signed) addSignature(envelope *protodsse.Envelope) error {
	switch {
	case s.statement.predicate != signPredicate:
		s.attestation = fmt.Sprintf("%s has predicate %q", s.name, text.Shorten(s.statement.predicate, maxReason))
	case s.statement.kind != statementType:
		return fmt.Errorf("its statement is of type %q, not %s", s.statement.kind, statementType)
	case len(envelope.GetPayload()) > maxStatement:
		return fmt.Errorf("its statement is larger than %d bytes", maxStatement)
	}
	return nil
}

// addAttestation checks the statement of an attestation.
func (s *signed) addAttestation(envelope *protodsse.Envelope) error {
	if kind := s.statement.kind; kind != statementType && kind != oldStatementType {
		return fmt.Errorf("its statement is of type %q, not %s or %s", kind, statementType, oldStatementType)
	}
	if s.statement.predicate == "" {
		return errors.New("its statement has no predicate type")
	}
	s.payload = envelope.GetPayload()
	return nil
}

// addSigner reads the claimed signer.
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
	if s.old {
		// sigstore-go ignores those of such bundles.
		if s.certificates, err = intermediates(checked); err != nil {
			return err
		}
	}
	for _, certificate := range slices.Concat(s.certificates, []*x509.Certificate{s.certificate}) {
		if public, ok := certificate.PublicKey.(*rsa.PublicKey); ok && public.N.BitLen() > maxRSA {
			return fmt.Errorf("a certificate's RSA key has more than %d bits", maxRSA)
		}
	}
	return nil
}

// intermediates returns the certificates above the signer's.
func intermediates(of *bundle.Bundle) (above []*x509.Certificate, err error) {
	chain := of.GetVerificationMaterial().GetX509CertificateChain().GetCertificates()
	for _, one := range chain[min(1, len(chain)):] {
		certificate, err := x509.ParseCertificate(one.GetRawBytes())
		if err != nil {
			return nil, fmt.Errorf("parsing a certificate above the signer's: %w", err)
		}
		above = append(above, certificate)
	}
	return above, nil
}
