package signaturetest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// MediaType is the media type of cosign's payloads.
const MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"

// The annotations in which cosign stores the proofs for a payload.
const (
	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationChain       = "dev.sigstore.cosign/chain"
	annotationEntry       = "dev.sigstore.cosign/bundle"
)

// Signature is one signature: a layer of an image tagged sha256-<hex>.sig.
type Signature struct {
	MediaType   string
	Payload     []byte
	Annotations map[string]string
}

// Sign returns a signature by the key. Its payload states that the manifest has this name.
func Sign(t testing.TB, key crypto.Signer, name string, manifest digest.Digest) Signature {
	t.Helper()
	signed := payload(t, name, manifest)
	return Signature{MediaType, signed, map[string]string{annotationSignature: sign(t, key, signed)}}
}

// payload returns the payload in the simple signing format.
func payload(t testing.TB, name string, manifest digest.Digest) []byte {
	t.Helper()
	return encode(t, map[string]any{
		"critical": map[string]any{
			"type":     "cosign container image signature",
			"image":    map[string]any{"docker-manifest-digest": manifest},
			"identity": map[string]any{"docker-reference": name},
		},
		"optional": nil,
	})
}

// Certified adds the signer's certificate to a signature, and the authorities above it, the root last.
func (s Signature) Certified(signer *Authority, chain ...*Authority) Signature {
	more := map[string]string{annotationCertificate: string(signer.PEM)}
	for _, authority := range chain {
		more[annotationChain] += string(authority.PEM)
	}
	return s.annotated(more)
}

// Logged adds Rekor's entry for a signature with the signer's key or certificate: an entry of kind hashedrekord 0.0.1,
// and an inclusion promise (signed entry timestamp).
func (s Signature) Logged(t testing.TB, log crypto.Signer, keyOrCertificate []byte, at time.Time) Signature {
	t.Helper()
	hash := sha256.Sum256(s.Payload)
	body := encode(t, map[string]any{
		"apiVersion": "0.0.1",
		"kind":       "hashedrekord",
		"spec": map[string]any{
			"data": map[string]any{
				"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(hash[:])},
			},
			"signature": map[string]any{
				"content":   s.Annotations[annotationSignature],
				"publicKey": map[string]any{"content": keyOrCertificate},
			},
		},
	})
	id := sha256.Sum256(decodePEM(t, PublicPEM(t, log.Public())))
	// Sorted names, no spaces, and nothing that JSON would escape: the canonical form, which is signed.
	entry := encode(t, map[string]any{
		"body": body, "integratedTime": at.Unix(), "logIndex": 1, "logID": hex.EncodeToString(id[:]),
	})
	return s.annotated(map[string]string{annotationEntry: string(encode(t, map[string]any{
		"SignedEntryTimestamp": sign(t, log, entry), "Payload": json.RawMessage(entry),
	}))})
}

// File returns the signature as the dir: transport of containers/image stores it.
func (s Signature) File(t testing.TB) []byte {
	t.Helper()
	return append([]byte("\x00sigstore-json\n"), encode(t, map[string]any{
		"mimeType": s.MediaType, "payload": s.Payload, "annotations": s.Annotations,
	})...)
}

func (s Signature) annotated(more map[string]string) Signature {
	annotations := maps.Clone(s.Annotations)
	maps.Copy(annotations, more)
	return Signature{s.MediaType, s.Payload, annotations}
}

// SignRaw signs bytes, such as a log's entry in its canonical form, and returns the signature in base64.
func SignRaw(t testing.TB, key crypto.Signer, raw []byte) string {
	t.Helper()
	return sign(t, key, raw)
}

// sign returns a signature in base64.
func sign(t testing.TB, key crypto.Signer, payload []byte) string {
	t.Helper()
	hash := sha256.Sum256(payload)
	raw, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
