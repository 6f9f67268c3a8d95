package bundletest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/types"
	rekordsse "github.com/sigstore/rekor/pkg/types/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"google.golang.org/protobuf/encoding/protojson"
)

// Sigstore is the set of services that a keyless signature needs: a certificate authority like Fulcio, a transparency
// log like Rekor, and a timestamp authority. Their certificates are valid for a few hours before and after their
// creation.
type Sigstore struct{ *ca.VirtualSigstore }

// Identity is the identity of a keyless signer: an e-mail address, and the OIDC issuer that authenticated it.
type Identity struct{ Email, Issuer string }

// NewSigstore creates authorities and a log with new keys.
func NewSigstore(t testing.TB) *Sigstore {
	t.Helper()
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return &Sigstore{virtual}
}

// Sign signs with this identity, with a certificate that is valid for ten minutes from now. The log records the
// signature within that time.
func (s *Sigstore) Sign(t testing.TB, identity Identity, manifest digest.Digest, name string) Bundle {
	t.Helper()
	return s.SignStatement(t, identity, NewStatement(manifest, name).JSON(t), 5*time.Minute)
}

// SignStatement signs any statement. The log records it this long after the certificate was issued.
func (s *Sigstore) SignStatement(t testing.TB, identity Identity, statement []byte, after time.Duration) Bundle {
	t.Helper()
	key, certificate := s.Certify(t, identity)
	bundle := SignStatement(t, key, statement).Certified(certificate)
	s.Record(t, bundle, CertificatePEM(certificate), certificate.NotBefore.Add(after))
	return bundle
}

// Certify creates a key and a certificate for it.
func (s *Sigstore) Certify(t testing.TB, identity Identity) (*Key, *x509.Certificate) {
	t.Helper()
	certificate, private, err := s.GenerateLeafCert(identity.Email, identity.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return KeyOf(t, private), certificate
}

// Record adds to a bundle the log's entry, for a signer's key or certificate in PEM and that time: an entry of kind
// dsse 0.0.1, with an inclusion promise and an inclusion proof.
func (s *Sigstore) Record(t testing.TB, bundle Bundle, signer []byte, at time.Time) {
	t.Helper()
	body := recorded(t, bundle, signer)
	id := sha256.Sum256(s.logDER(t))
	entry := &protorekor.TransparencyLogEntry{
		LogId: &common.LogId{KeyId: id[:]}, LogIndex: 1, IntegratedTime: at.Unix(), CanonicalizedBody: body,
		KindVersion: &protorekor.KindVersion{Kind: rekordsse.KIND, Version: "0.0.1"},
	}
	s.Promise(t, entry)
	s.Prove(t, entry)
	material := bundle.VerificationMaterial
	material.TlogEntries = append(material.TlogEntries, entry)
}

// Promise adds an inclusion promise to an entry: its signed entry timestamp.
func (s *Sigstore) Promise(t testing.TB, entry *protorekor.TransparencyLogEntry) {
	t.Helper()
	promise, err := s.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.CanonicalizedBody), IntegratedTime: entry.IntegratedTime,
		LogIndex: entry.LogIndex, LogID: hex.EncodeToString(entry.LogId.KeyId),
	})
	if err != nil {
		t.Fatal(err)
	}
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
}

// Prove adds an inclusion proof to an entry, which is the only one of the log, with a checkpoint.
func (s *Sigstore) Prove(t testing.TB, entry *protorekor.TransparencyLogEntry) {
	t.Helper()
	proof, err := s.GetInclusionProof(entry.CanonicalizedBody)
	if err != nil {
		t.Fatal(err)
	}
	root, err := hex.DecodeString(*proof.RootHash)
	if err != nil {
		t.Fatal(err)
	}
	entry.InclusionProof = &protorekor.InclusionProof{
		LogIndex: *proof.LogIndex, RootHash: root, TreeSize: *proof.TreeSize,
		Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint},
	}
}

// Timestamp adds a timestamp for the bundle's signature by the timestamp authority, with the current time.
func (s *Sigstore) Timestamp(t testing.TB, bundle Bundle) {
	t.Helper()
	response, err := s.TimestampResponse(bundle.GetDsseEnvelope().Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	bundle.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: response}},
	}
}

// RecordSecond adds to a bundle an entry of Rekor v2, for another signature.
func (s *Sigstore) RecordSecond(t testing.TB, bundle Bundle) {
	t.Helper()
	entity, err := s.AttestHashedRekordV2("build@example.com", "https://issuer.example", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := entity.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	material := bundle.VerificationMaterial
	material.TlogEntries = append(material.TlogEntries, entries[0].TransparencyLogEntry())
}

// Authorities returns the certificates of the authority: the intermediates, and then the root.
func (s *Sigstore) Authorities(t testing.TB) []*x509.Certificate {
	t.Helper()
	authority, ok := s.FulcioCertificateAuthorities()[0].(*root.FulcioCertificateAuthority)
	if !ok {
		t.Fatal("the authority is of an unexpected type")
	}
	return append(slices.Clip(authority.Intermediates), authority.Root)
}

// Requirement returns a requirement for a signature with this identity, made for the image's repository. A bundle
// contains no intermediate certificate, so the requirement has it next to the root.
func (s *Sigstore) Requirement(t testing.TB, identity Identity) map[string]any {
	t.Helper()
	return map[string]any{
		"type": "sigstoreSigned",
		"fulcio": map[string]any{
			"caData":     CertificatePEM(s.Authorities(t)...),
			"oidcIssuer": identity.Issuer, "subjectEmail": identity.Email,
		},
		"rekorPublicKeyData": s.LogPEM(t),
		"signedIdentity":     map[string]any{"type": "matchRepository"},
	}
}

// LogPEM returns the public key of the log.
func (s *Sigstore) LogPEM(t testing.TB) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.logDER(t)})
}

func (s *Sigstore) logDER(t testing.TB) []byte {
	t.Helper()
	for _, log := range s.RekorLogs() {
		der, err := x509.MarshalPKIXPublicKey(log.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	t.Fatal("there is no log")
	return nil
}

// CertificatePEM encodes certificates in PEM.
func CertificatePEM(certificates ...*x509.Certificate) []byte {
	var all bytes.Buffer
	for _, certificate := range certificates {
		all.Write(pem.EncodeToMemory(&pem.Block{Type: string(cryptoutils.CertificatePEMType), Bytes: certificate.Raw}))
	}
	return all.Bytes()
}

// envelopeOf returns the envelope of a bundle in JSON, the same bytes each time.
func envelopeOf(t testing.TB, bundle Bundle) []byte {
	t.Helper()
	envelope, err := protojson.Marshal(bundle.GetDsseEnvelope())
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, envelope); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

// recorded returns the body of the log's entry, created by Rekor's own code.
func recorded(t testing.TB, bundle Bundle, signer []byte) []byte {
	t.Helper()
	proposed, err := types.NewProposedEntry(context.Background(), rekordsse.KIND, "0.0.1", types.ArtifactProperties{
		ArtifactBytes: envelopeOf(t, bundle), PublicKeyBytes: [][]byte{signer}, PKIFormat: "x509",
	})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		t.Fatal(err)
	}
	body, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
