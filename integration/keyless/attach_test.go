package keyless_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestCosignVerifiesWhatWeAttach has the real cosign look for a signature, and verify it by our authority and log.
func TestCosignVerifiesWhatWeAttach(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	image, err := tools.Image("signed")
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := registry.Push(t.Context(), "team/app:v1", image)
	if err != nil {
		t.Fatal(err)
	}
	sigstore := signaturetest.NewSigstore(t)
	builder := signaturetest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}
	root := trustedRoot(t, tools, sigstore)
	verify := func(identity signaturetest.Identity) error {
		_, err := tools.Cosign(t.Context(), nil, "verify", "--trusted-root", root, "--insecure-ignore-sct",
			"--new-bundle-format=false", "--allow-http-registry", "--allow-insecure-registry",
			"--certificate-identity", identity.Email, "--certificate-oidc-issuer", identity.Issuer, pushed.ByDigest())
		return err
	}
	if err := verify(builder); err == nil || !strings.Contains(err.Error(), "no signatures found") {
		t.Errorf("of an image that is not signed cosign says %v", err)
	}
	keyless.Sign(t, registry, pushed, sigstore, builder)
	if err := verify(builder); err != nil {
		t.Errorf("cosign does not verify what we attached: %v", err)
	}
	another := signaturetest.Identity{Email: "eve@example.com", Issuer: builder.Issuer}
	if err := verify(another); err == nil || !strings.Contains(err.Error(), "none of the expected identities matched") {
		t.Errorf("of another identity cosign says %v", err)
	}
}

// trustedRoot writes whom cosign is to trust: an authority and a log.
func trustedRoot(t *testing.T, tools *node.Tools, sigstore *signaturetest.Sigstore) string {
	t.Helper()
	directory := t.TempDir()
	chain, log := filepath.Join(directory, "chain.pem"), filepath.Join(directory, "log.pem")
	root := filepath.Join(directory, "trusted_root.json")
	for path, contents := range map[string][]byte{
		chain: bytes.Join([][]byte{sigstore.Intermediate.PEM, sigstore.Root.PEM}, nil),
		log:   signaturetest.PublicPEM(t, sigstore.Log.Public()),
	} {
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := tools.Cosign(t.Context(), nil, "trusted-root", "create",
		"--fulcio", fmt.Sprintf("url=https://fulcio.example,certificate-chain=%s", chain),
		"--rekor", fmt.Sprintf("url=https://rekor.example,public-key=%s,start-time=2024-01-01T00:00:00Z", log),
		"--out", root)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
