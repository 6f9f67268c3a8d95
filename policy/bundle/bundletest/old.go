package bundletest

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
)

// OldMediaType is the type of a bundle v0.1, whose log entries have a promise and need no proof.
const OldMediaType = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// Promised returns a copy of the bundle as a bundle v0.1 whose log entries have no proofs: what an attestation of
// cosign's old format is stored as.
func (b Bundle) Promised() Bundle {
	old := b.Clone()
	old.MediaType = OldMediaType
	if leaf := old.VerificationMaterial.GetCertificate(); leaf != nil {
		old.chain(leaf.GetRawBytes())
	}
	for _, entry := range old.VerificationMaterial.GetTlogEntries() {
		entry.InclusionProof = nil
	}
	return old
}

// Old returns the bundle as an attestation in cosign's old format: an envelope, and the annotations of its layer
// (cosign v3.1.3, pkg/oci/static). above are the certificates in the chain.
func (b Bundle) Old(t testing.TB, above ...*x509.Certificate) (envelope []byte, annotations map[string]string) {
	t.Helper()
	envelope = envelopeOf(t, b)
	annotations = map[string]string{"dev.cosignproject.cosign/signature": ""}
	if leaf := b.VerificationMaterial.GetCertificate(); leaf != nil {
		certificate, err := x509.ParseCertificate(leaf.GetRawBytes())
		if err != nil {
			t.Fatal(err)
		}
		annotations["dev.sigstore.cosign/certificate"] = string(CertificatePEM(certificate))
	}
	if len(above) > 0 {
		annotations["dev.sigstore.cosign/chain"] = string(CertificatePEM(above...))
	}
	for _, entry := range b.VerificationMaterial.GetTlogEntries() {
		annotations["dev.sigstore.cosign/bundle"] = string(marshal(t, map[string]any{
			"SignedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			"Payload": map[string]any{
				"body":           base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()),
				"integratedTime": entry.GetIntegratedTime(), "logIndex": entry.GetLogIndex(),
				"logID": hex.EncodeToString(entry.GetLogId().GetKeyId()),
			},
		}))
	}
	return envelope, annotations
}

// chain replaces the signer's certificate by a chain of certificates in DER.
func (b Bundle) chain(certificates ...[]byte) {
	chain := new(common.X509CertificateChain)
	for _, der := range certificates {
		chain.Certificates = append(chain.Certificates, &common.X509Certificate{RawBytes: der})
	}
	b.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
