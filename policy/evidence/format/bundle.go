package format

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// Bundle is what can be read of a Sigstore bundle without verifying anything.
type Bundle struct {
	MediaType string
	// PredicateType is that of the statement in its envelope, or empty if it is unreadable.
	PredicateType string
	// Payload is the content of the envelope, and Hint the name of the key that allegedly signed it.
	Payload []byte
	Hint    string
	// Certificate is the signer's, in DER, where the bundle has one.
	Certificate []byte
}

// BundlePrefix begins the media types of Sigstore bundles: application/vnd.dev.sigstore.bundle.v0.3+json since
// version 0.3, and application/vnd.dev.sigstore.bundle+json;version=0.N before.
const BundlePrefix = "application/vnd.dev.sigstore.bundle"

// ParseBundle reads a Sigstore bundle: a signature or an attestation. It fails for other content, and for a bundle over
// the limit of what it is. Whether it has a signature, or one that anybody trusts, is not checked.
func ParseBundle(raw []byte) (Bundle, error) {
	bundle, err := parseBundle(raw)
	if limit := bundle.Kind().MaxSize(); int64(len(raw)) > limit {
		return Bundle{}, fmt.Errorf("it has %d bytes, and a bundle has at most %d", len(raw), limit)
	}
	return bundle, err
}

// certificateJSON is a certificate in a bundle, in DER.
type certificateJSON struct {
	RawBytes []byte `json:"rawBytes"`
}

func parseBundle(raw []byte) (Bundle, error) {
	if len(raw) > MaxAttestation {
		return Bundle{}, fmt.Errorf("it has %d bytes, and a bundle has at most %d", len(raw), MaxAttestation)
	}
	var document struct {
		MediaType    string `json:"mediaType"`
		Verification struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
			Certificate certificateJSON `json:"certificate"`
			Chain       struct {
				Certificates []certificateJSON `json:"certificates"`
			} `json:"x509CertificateChain"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := strictjson.Unmarshal(raw, &document); err != nil {
		return Bundle{}, fmt.Errorf("it is not a Sigstore bundle: %w", err)
	}
	if !strings.HasPrefix(document.MediaType, BundlePrefix) {
		return Bundle{}, fmt.Errorf("it is not a Sigstore bundle: its media type is %.80q", document.MediaType)
	}
	bundle := Bundle{
		MediaType:   document.MediaType,
		Payload:     document.Envelope.Payload,
		Hint:        document.Verification.PublicKey.Hint,
		Certificate: document.Verification.Certificate.RawBytes,
	}
	if chain := document.Verification.Chain.Certificates; len(chain) > 0 && bundle.Certificate == nil {
		bundle.Certificate = chain[0].RawBytes
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
	}
	// What is not a statement has no predicate type.
	if json.Unmarshal(bundle.Payload, &statement) == nil {
		bundle.PredicateType = statement.PredicateType
	}
	return bundle, nil
}

// SignPredicate is the type of what cosign 3 signs images with; bundles with another one are attestations.
const SignPredicate = "https://sigstore.dev/cosign/sign/v1"

// Attestation reports whether the bundle is about something else than a signed image.
func (b Bundle) Attestation() bool { return b.PredicateType != "" && b.PredicateType != SignPredicate }

// Kind returns the kind of its file.
func (b Bundle) Kind() Kind {
	if b.Attestation() {
		return KindAttestation
	}
	return KindBundle
}
