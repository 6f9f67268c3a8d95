package keyless_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestCosignVerifiesTheBundlesWeAttach has the real cosign look for a bundle, by the registry's API and by the fallback
// tag, and verify it by our authority and log.
func TestCosignVerifiesTheBundlesWeAttach(t *testing.T) {
	tools := node.NewTools(t)
	sigstore := bundletest.NewSigstore(t)
	builder := bundletest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}
	root := bundleRoot(t, tools, sigstore, builder)
	for kind, config := range map[string]node.RegistryConfig{
		"with the referrers API": {InProcess: true}, "without the referrers API": {Tools: tools},
	} {
		t.Run(kind, func(t *testing.T) {
			registry := node.NewRegistry(t, config)
			image, err := tools.Image("signed")
			if err != nil {
				t.Fatal(err)
			}
			pushed, err := registry.Push(t.Context(), "team/app:v1", image)
			if err != nil {
				t.Fatal(err)
			}
			verify := func(email string) error {
				_, err := tools.Cosign(t.Context(), nil, "verify", "--trusted-root", root, "--insecure-ignore-sct",
					"--allow-http-registry", "--allow-insecure-registry", "--certificate-identity", email,
					"--certificate-oidc-issuer", builder.Issuer, "-a", "docker-reference="+pushed.Repository,
					pushed.ByDigest())
				return err
			}
			if err := verify(builder.Email); err == nil {
				t.Error("cosign verifies an image that is not signed")
			}
			keyless.SignBundle(t, registry, pushed, sigstore, builder, pushed.Repository)
			if err := verify(builder.Email); err != nil {
				t.Errorf("cosign does not verify what we attached: %v", err)
			}
			if err := verify("eve@example.com"); err == nil || !strings.Contains(err.Error(), "expected") {
				t.Errorf("of another identity cosign says %v", err)
			}
		})
	}
}

// bundleRoot writes whom cosign is to trust: an authority and a log.
func bundleRoot(
	t *testing.T, tools *node.Tools, sigstore *bundletest.Sigstore, identity bundletest.Identity,
) string {
	t.Helper()
	directory := t.TempDir()
	chain, log := filepath.Join(directory, "chain.pem"), filepath.Join(directory, "log.pem")
	root := filepath.Join(directory, "trusted_root.json")
	authorities := sigstore.Requirement(t, identity)["fulcio"].(map[string]any)["caData"].([]byte)
	for path, contents := range map[string][]byte{chain: authorities, log: sigstore.LogPEM(t)} {
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
