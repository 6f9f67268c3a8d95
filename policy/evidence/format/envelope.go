package format

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// EnvelopeType is the media type of the layers that cosign puts under the tag <algorithm>-<hex>.att: attestations in
// its old format.
const EnvelopeType = "application/vnd.dsse.envelope.v1+json"

// Where cosign's old format has the log's promise (cosign v3.1.3, pkg/oci/static), and oldBundleType, which is the
// media type of a bundle that may have it instead of a proof.
const (
	promiseAnnotation = "dev.sigstore.cosign/bundle"
	oldBundleType     = BundlePrefix + "+json;version=0.1"
)

// envelope is a DSSE envelope.
type envelope struct {
	Payload     []byte              `json:"payload"`
	PayloadType string              `json:"payloadType"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	Signature []byte `json:"sig"`
	KeyID     string `json:"keyid,omitempty"`
}

// promise is what a log of Rekor v1 has promised to record (cosign v3.1.3, pkg/cosign/bundle: RekorBundle).
type promise struct {
	SignedEntryTimestamp []byte
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	}
}

// The JSON of a Sigstore bundle v0.1. protojson would not write the same bytes each time.
type (
	oldBundle struct {
		MediaType string      `json:"mediaType"`
		Material  oldMaterial `json:"verificationMaterial"`
		Envelope  envelope    `json:"dsseEnvelope"`
	}
	oldMaterial struct {
		PublicKey *struct{}  `json:"publicKey,omitempty"`
		Chain     *oldChain  `json:"x509CertificateChain,omitempty"`
		Entries   []oldEntry `json:"tlogEntries,omitempty"`
	}
	oldChain struct {
		Certificates []certificateJSON `json:"certificates"`
	}
	oldEntry struct {
		LogIndex       int64      `json:"logIndex,string"`
		LogID          oldLogID   `json:"logId"`
		Kind           oldKind    `json:"kindVersion"`
		IntegratedTime int64      `json:"integratedTime,string"`
		Promise        oldPromise `json:"inclusionPromise"`
		Body           []byte     `json:"canonicalizedBody"`
	}
	oldLogID struct {
		KeyID []byte `json:"keyId"`
	}
	oldKind struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	oldPromise struct {
		SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
	}
)

// AttestationFile returns an attestation of cosign's old format as a Sigstore bundle v0.1: a DSSE envelope, with the
// signer's certificates and the log's promise from the annotations. It changes none of the signed bytes, and equal
// attestations give equal bundles. An RFC 3161 timestamp is left out: in the old format it is one of the envelope, and
// in a bundle one of the signature.
func AttestationFile(raw []byte, annotations map[string]string) ([]byte, error) {
	bundle := oldBundle{MediaType: oldBundleType}
	if err := strictjson.Unmarshal(raw, &bundle.Envelope); err != nil {
		return nil, fmt.Errorf("it is not a DSSE envelope: %w", err)
	}
	if len(bundle.Envelope.Payload) == 0 || len(bundle.Envelope.Signatures) == 0 {
		return nil, errors.New("it is not a DSSE envelope: it has no payload or no signature")
	}
	if err := CheckCertificates(annotations); err != nil {
		return nil, err
	}
	if bundle.Material.Chain = chainOf(annotations); bundle.Material.Chain == nil {
		bundle.Material.PublicKey = &struct{}{}
	}
	var err error
	if bundle.Material.Entries, err = promisedEntries([]byte(annotations[promiseAnnotation])); err != nil {
		return nil, fmt.Errorf("its annotation %s: %w", promiseAnnotation, err)
	}
	file, err := json.Marshal(bundle)
	if err != nil {
		return nil, fmt.Errorf("encoding an attestation: %w", err)
	}
	if len(file) > MaxAttestation {
		return nil, fmt.Errorf("it has %d bytes, and an attestation has at most %d", len(file), MaxAttestation)
	}
	return file, nil
}

// chainOf returns the signer's certificate and those above it, or nil if there is none. Roots are left out: a bundle
// has none, and only the policy says which are trusted.
func chainOf(annotations map[string]string) *oldChain {
	signer, _ := pem.Decode([]byte(annotations[certificateAnnotation]))
	if signer == nil {
		return nil
	}
	chain := &oldChain{Certificates: []certificateJSON{{signer.Bytes}}}
	above := []byte(annotations[chainAnnotation])
	for block, rest := pem.Decode(above); block != nil; block, rest = pem.Decode(rest) {
		if !isRoot(block.Bytes) {
			chain.Certificates = append(chain.Certificates, certificateJSON{block.Bytes})
		}
	}
	return chain
}

func isRoot(der []byte) bool {
	certificate, err := x509.ParseCertificate(der)
	return err == nil && bytes.Equal(certificate.RawSubject, certificate.RawIssuer)
}

// promisedEntries returns the log entry of a promise; without one there is none.
func promisedEntries(raw []byte) ([]oldEntry, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var read *promise
	if err := strictjson.Unmarshal(raw, &read); err != nil {
		return nil, fmt.Errorf("reading the log's promise: %w", err)
	}
	if read == nil {
		return nil, nil
	}
	id, err := hex.DecodeString(read.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("reading the log's ID: %w", err)
	}
	var body struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := strictjson.Unmarshal(read.Payload.Body, &body); err != nil {
		return nil, fmt.Errorf("reading the log's entry: %w", err)
	}
	return []oldEntry{{
		LogIndex: read.Payload.LogIndex, LogID: oldLogID{id}, Kind: oldKind(body),
		IntegratedTime: read.Payload.IntegratedTime, Promise: oldPromise{read.SignedEntryTimestamp},
		Body: read.Payload.Body,
	}}, nil
}
