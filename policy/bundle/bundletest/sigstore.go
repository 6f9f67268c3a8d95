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

// Sigstore is what one trusts who trusts signatures without keys: a certificate authority, as Fulcio is one, a
// transparency log, as Rekor is one, and an authority for timestamps. They belong to the time when they are made, and a
// few hours around it.
type Sigstore struct{ *ca.VirtualSigstore }

// Identity is who signs without a key of his own: an e-mail address, and who has checked that it is his.
type Identity struct{ Email, Issuer string }

// NewSigstore makes authorities and a log that nobody else has.
func NewSigstore(t testing.TB) *Sigstore {
	t.Helper()
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return &Sigstore{virtual}
}

// Sign signs as someone with this identity would, by a certificate for the ten minutes from now on. The log records it
// in the midst of them.
func (s *Sigstore) Sign(t testing.TB, identity Identity, manifest digest.Digest, name string) Bundle {
	t.Helper()
	return s.SignStatement(t, identity, NewStatement(manifest, name).JSON(t), 5*time.Minute)
}

// SignStatement signs whatever it is given as the statement, and has the log record it so long after the certificate
// was issued.
func (s *Sigstore) SignStatement(t testing.TB, identity Identity, statement []byte, after time.Duration) Bundle {
	t.Helper()
	key, certificate := s.Certify(t, identity)
	bundle := SignStatement(t, key, statement).Certified(certificate)
	s.Record(t, bundle, CertificatePEM(certificate), certificate.NotBefore.Add(after))
	return bundle
}

// Certify makes a key and a certificate for it.
func (s *Sigstore) Certify(t testing.TB, identity Identity) (*Key, *x509.Certificate) {
	t.Helper()
	certificate, private, err := s.GenerateLeafCert(identity.Email, identity.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return KeyOf(t, private), certificate
}

// Record has the log record a bundle, as signed by a key or certificate in PEM, at that time: an entry of the kind dsse
// 0.0.1, with the log's promise to include it and the proof that it has.
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

// Promise has the log promise to include an entry: its signed entry timestamp.
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

// Prove has the log prove that it includes an entry: the first and only one, by a checkpoint.
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

// Timestamp has the authority for timestamps attest that a bundle's signature was there now.
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

// RecordSecond puts an entry of Rekor's second version next to a bundle. It is one of another signature.
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

// Requirement is the policy requirement of a signature by someone with this identity, made for the image's repository.
// A bundle brings no intermediate certificate along, so that it stands next to the root.
func (s *Sigstore) Requirement(t testing.TB, identity Identity) map[string]any {
	t.Helper()
	authority, ok := s.FulcioCertificateAuthorities()[0].(*root.FulcioCertificateAuthority)
	if !ok {
		t.Fatal("the authority is of another kind")
	}
	return map[string]any{
		"type": "sigstoreSigned",
		"fulcio": map[string]any{
			"caData":     CertificatePEM(append(authority.Intermediates, authority.Root)...),
			"oidcIssuer": identity.Issuer, "subjectEmail": identity.Email,
		},
		"rekorPublicKeyData": s.LogPEM(t),
		"signedIdentity":     map[string]any{"type": "matchRepository"},
	}
}

// LogPEM is the public key of the log.
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

// CertificatePEM writes certificates in PEM.
func CertificatePEM(certificates ...*x509.Certificate) []byte {
	var all bytes.Buffer
	for _, certificate := range certificates {
		all.Write(pem.EncodeToMemory(&pem.Block{Type: string(cryptoutils.CertificatePEMType), Bytes: certificate.Raw}))
	}
	return all.Bytes()
}

// recorded is what the log writes down, made by Rekor's own code.
func recorded(t testing.TB, bundle Bundle, signer []byte) []byte {
	t.Helper()
	envelope, err := protojson.Marshal(bundle.GetDsseEnvelope())
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, envelope); err != nil {
		t.Fatal(err)
	}
	proposed, err := types.NewProposedEntry(context.Background(), rekordsse.KIND, "0.0.1", types.ArtifactProperties{
		ArtifactBytes: compact.Bytes(), PublicKeyBytes: [][]byte{signer}, PKIFormat: "x509",
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
