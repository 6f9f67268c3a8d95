package keyless_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestCosignsHashesCountInTheOldFormat makes the real cosign sign with keys for which containers/image verifies another
// hash, and judges what it attached.
func TestCosignsHashesCountInTheOldFormat(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	rig.OK(t, err)
	keys := map[string]crypto.Signer{
		"p256":    rig.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t),
		"p384":    rig.Must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t),
		"p521":    rig.Must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t),
		"ed25519": edwards,
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			prefix := filepath.Join(t.TempDir(), name)
			der := rig.Must(x509.MarshalPKCS8PrivateKey(key))(t)
			private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
			rig.OK(t, os.WriteFile(prefix+".pem", private, 0o600))
			rig.Must(tools.Cosign(t.Context(), nil, "import-key-pair", "--key", prefix+".pem",
				"--output-key-prefix", prefix))(t)
			image := rig.Must(registry.Push(t.Context(), "hash/"+name+":v1", rig.Must(tools.Image(name))(t)))(t)
			rig.OK(t, tools.Sign(t.Context(), node.Signing{
				Image: image, Key: node.Key{Private: prefix + ".key", Public: prefix + ".pub"}, OldFormat: true,
			}))
			judged := func(by crypto.PublicKey) policy.Finding { return judgeAttached(t, registry, image, by) }
			if finding := judged(key.Public()); !finding.Met {
				t.Errorf("what cosign signed is refused: %s", finding.Detail)
			}
			if finding := judged(keys["p384"].Public()); finding.Met != (name == "p384") {
				t.Errorf("another key accepts it: %+v", finding)
			}
		})
	}
}

// judgeAttached fetches the signatures of an image, and judges them by a requirement for a key.
func judgeAttached(t *testing.T, registry *node.Registry, image node.Pushed, by crypto.PublicKey) policy.Finding {
	t.Helper()
	keeper := rig.Must(evidence.Open(evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 20}))(t)
	defer keeper.Close()
	named := rig.Must(policy.Normalize(image.Reference))(t)
	rig.OK(t, keeper.Fetch(t.Context(), image.Digest, named))
	repository := strings.TrimPrefix(image.Repository, registry.Host+"/")
	raw, _, err := registry.Manifest(t.Context(), repository+"@"+image.Digest.String())
	rig.OK(t, err)
	manifest := policy.Manifest{
		Digest: image.Digest, MediaType: ocispec.MediaTypeImageManifest, Bytes: raw, Repositories: []string{named.Name()},
	}
	document := rig.Must(json.Marshal(map[string]any{"default": []any{map[string]any{
		"type": "sigstoreSigned", "keyData": signaturetest.PublicPEM(t, by),
		"signedIdentity": map[string]any{"type": "matchRepository"},
	}}}))(t)
	parsed := rig.Must(signature.NewParser(signature.Kinds(nil)).Parse(document, os.ReadFile))(t)
	return signature.NewJudge().Judge(t.Context(), policy.JudgeRequest{
		Requirement: parsed.Default[0], Reference: named, Manifest: manifest,
		Evidence: keeper.Lookup([]policy.Manifest{manifest}, named)[0],
	})
}
