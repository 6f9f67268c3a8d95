package claim

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/signature"
)

// Claim is what one file claims, unverified. What it does not claim is empty. Its JSON is a public interface, to which
// fields are only added.
type Claim struct {
	File string `json:"file"`
	// Kind is "sigstore", "simple-signing", "bundle" or "attestation".
	Kind string `json:"kind"`
	// Identity is the claimed reference of the image, and Manifest its digest.
	Identity string `json:"identity,omitempty"`
	Manifest string `json:"manifest,omitempty"`
	// Key describes the key. Signer is the identity in the certificate, and Issuer the OIDC issuer that authenticated it.
	Key    string `json:"key,omitempty"`
	Signer string `json:"signer,omitempty"`
	Issuer string `json:"issuer,omitempty"`
	// Extensions are those of Fulcio in the certificate. SubjectKind is the kind of its name: "email", "uri" or "host".
	Extensions  []Extension `json:"extensions,omitempty"`
	SubjectKind string      `json:"subject_kind,omitempty"`
	// LogIndex is the position in a transparency log, or empty if there is none.
	LogIndex string `json:"log_index,omitempty"`
	// Time is when the signature was made, as its creator or a transparency log says. Entries of Rekor v2 have no time.
	Time       string      `json:"time,omitempty"`
	Timestamps []Timestamp `json:"timestamps,omitempty"`
	// Predicate is the predicate type of a bundle's statement.
	Predicate string `json:"predicate,omitempty"`
	// Problem is why the file cannot be read.
	Problem string `json:"problem,omitempty"`

	stamped stamped
}

// Of returns the claims of files, signatures first.
func Of(files []format.File) []Claim {
	bundles, attestations := ofBundles(files, format.KindBundle), ofBundles(files, format.KindAttestation)
	return slices.Concat(ofSignatures(files), bundles, attestations)
}

func ofSignatures(files []format.File) (claims []Claim) {
	for n, file := range format.Contents(files, format.KindSignature) {
		c := Claim{File: fmt.Sprintf("signature-%d", n+1)}
		parsed, err := format.ParseSignature(file)
		switch {
		case err != nil:
			c.Problem = err.Error()
		case parsed.MediaType == "":
			c.openPGP(parsed.Payload)
		default:
			c.sigstore(parsed)
		}
		claims = append(claims, c)
	}
	return claims
}

func (c *Claim) openPGP(message []byte) {
	c.Kind = "simple-signing"
	read, err := signature.ReadClaim(message)
	if err != nil {
		c.Problem = err.Error()
		return
	}
	c.Identity, c.Manifest = read.Reference, read.Manifest.String()
	c.Key, c.Time = "OpenPGP "+read.KeyID, formatTime(read.Time)
}

// sigstore reads a simple signing payload and the annotations that cosign puts next to it.
func (c *Claim) sigstore(of format.Signature) {
	c.Kind = "sigstore"
	var payload struct {
		Critical struct {
			Identity struct {
				Reference string `json:"docker-reference"`
			} `json:"identity"`
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(of.Payload, &payload); err != nil {
		c.Problem = fmt.Sprintf("its payload of type %s is not a simple signing payload: %v", of.MediaType, err)
		return
	}
	c.Identity, c.Manifest = payload.Critical.Identity.Reference, payload.Critical.Image.Digest
	if block, _ := pem.Decode([]byte(of.Annotations["dev.sigstore.cosign/certificate"])); block != nil {
		c.certificate(block.Bytes)
	}
	var entry struct {
		Payload struct {
			IntegratedTime int64       `json:"integratedTime"`
			LogIndex       json.Number `json:"logIndex"`
		}
	}
	if json.Unmarshal([]byte(of.Annotations["dev.sigstore.cosign/bundle"]), &entry) == nil {
		c.integrated(entry.Payload.IntegratedTime)
		c.LogIndex = entry.Payload.LogIndex.String()
	}
	c.stampOld(of)
}

// integrated sets the time at which a transparency log claims to have recorded the signature.
func (c *Claim) integrated(seconds int64) {
	if seconds > 0 {
		c.Time = formatTime(time.Unix(seconds, 0))
	}
}

// certificate reads the identity in a certificate from Fulcio.
func (c *Claim) certificate(der []byte) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		c.Problem = fmt.Sprintf("its certificate cannot be read: %v", err)
		return
	}
	names := slices.Clone(certificate.EmailAddresses)
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	names = append(names, certificate.DNSNames...)
	if len(names) == 0 {
		names = append(names, certificate.Subject.String())
	}
	c.Signer, c.Extensions = strings.Join(names, ", "), extensionsOf(certificate)
	switch {
	case len(names) != 1:
	case len(certificate.EmailAddresses) == 1:
		c.SubjectKind = "email"
	case len(certificate.URIs) == 1:
		c.SubjectKind = "uri"
	case len(certificate.DNSNames) == 1:
		c.SubjectKind = "host"
	}
	// The OIDC issuer: 1.3.6.1.4.1.57264.1.8, and before 2023 a bare string as .1 (fulcio, docs/oid-info.md).
	for _, extension := range certificate.Extensions {
		var value string
		switch extension.Id.String() {
		case "1.3.6.1.4.1.57264.1.1":
			c.Issuer = string(extension.Value)
		case "1.3.6.1.4.1.57264.1.8":
			if _, err := asn1.Unmarshal(extension.Value, &value); err == nil {
				c.Issuer = value
			}
		}
	}
	if c.Issuer == "" {
		c.Issuer = certificate.Issuer.String()
	}
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
