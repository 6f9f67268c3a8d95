package bundletest

import (
	"context"
	"crypto"
	"crypto/x509"
	"testing"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	tilesnote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"
)

// Tiles is a log like Rekor v2, whose entries have no signed time. It stands for the server: each of its trees has one
// entry. As the public log, it signs with an Ed25519 key.
type Tiles struct {
	*Key

	// Origin is the name in checkpoints: the host of the log's URL.
	Origin string
}

// NewTiles creates a log with a new key.
func NewTiles(t testing.TB) *Tiles {
	t.Helper()
	return &Tiles{Key: NewEd25519(t, false), Origin: "log2.example"}
}

// URL returns the URL of the log, as a trusted root names it.
func (l *Tiles) URL() string { return "https://" + l.Origin }

// Record adds the log's entry to a bundle, for the bundle's certificate or for a key.
func (l *Tiles) Record(t testing.TB, bundle Bundle, key crypto.PublicKey) {
	t.Helper()
	material := bundle.VerificationMaterial
	material.TlogEntries = append(material.TlogEntries, l.Entry(t, l.Body(t, bundle, key)))
}

// Body returns the body of an entry: the hash that was signed, the signature, and who signed it.
func (l *Tiles) Body(t testing.TB, bundle Bundle, key crypto.PublicKey) []byte {
	t.Helper()
	by := new(tiles.Verifier)
	if raw := bundle.VerificationMaterial.GetCertificate().GetRawBytes(); raw != nil {
		certificate, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		key = certificate.PublicKey
		by.Verifier = &tiles.Verifier_X509Certificate{X509Certificate: &common.X509Certificate{RawBytes: raw}}
	} else {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		by.Verifier = &tiles.Verifier_PublicKey{PublicKey: &tiles.PublicKey{RawBytes: der}}
	}
	algorithm, err := signature.GetDefaultAlgorithmDetails(key, options.WithED25519ph())
	if err != nil {
		t.Fatal(err)
	}
	by.KeyDetails = algorithm.GetSignatureAlgorithm()
	envelope := bundle.GetDsseEnvelope()
	hash := algorithm.GetHashType().New()
	hash.Write(dsse.PAE(envelope.PayloadType, envelope.Payload))
	raw, err := protojson.Marshal(&tiles.Entry{
		ApiVersion: "0.0.2", Kind: "hashedrekord",
		Spec: &tiles.Spec{Spec: &tiles.Spec_HashedRekordV002{HashedRekordV002: &tiles.HashedRekordLogEntryV002{
			Data:      &common.HashOutput{Algorithm: algorithm.GetProtoHashType(), Digest: hash.Sum(nil)},
			Signature: &tiles.Signature{Content: envelope.Signatures[0].Sig, Verifier: by},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := jsoncanonicalizer.Transform(raw)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Entry returns an entry with this body, with an inclusion proof and a checkpoint.
func (l *Tiles) Entry(t testing.TB, body []byte) *protorekor.TransparencyLogEntry {
	t.Helper()
	_, id, err := tilesnote.KeyHash(l.Origin, l.Public())
	if err != nil {
		t.Fatal(err)
	}
	root := rfc6962.DefaultHasher.HashLeaf(body)
	return &protorekor.TransparencyLogEntry{
		LogId: &common.LogId{KeyId: id}, CanonicalizedBody: body,
		KindVersion: &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		InclusionProof: &protorekor.InclusionProof{
			TreeSize: 1, RootHash: root, Checkpoint: &protorekor.Checkpoint{Envelope: l.Checkpoint(t, root)},
		},
	}
}

// Checkpoint signs the root of a tree with one entry.
func (l *Tiles) Checkpoint(t testing.TB, root []byte) string {
	t.Helper()
	signer, err := signature.LoadSignerVerifier(l.Signer, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	by, err := tilesnote.NewNoteSigner(context.Background(), l.Origin, signer)
	if err != nil {
		t.Fatal(err)
	}
	text := checkpoint.Checkpoint{Origin: l.Origin, Size: 1, Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, by)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}
