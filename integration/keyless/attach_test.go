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
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestCosignVerifiesWhatWeAttach makes the real cosign find a signature and verify it with our CA and log.
func TestCosignVerifiesWhatWeAttach(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	pushed := rig.Must(registry.Push(t.Context(), "team/app:v1", rig.Must(tools.Image("signed"))(t)))(t)
	sigstore := signaturetest.NewSigstore(t)
	builder := signaturetest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}
	authorities := bytes.Join([][]byte{sigstore.Intermediate.PEM, sigstore.Root.PEM}, nil)
	root := trustedRoot(t, tools, authorities, signaturetest.PublicPEM(t, sigstore.Log.Public()))
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

// trustedRoot writes a trusted root for cosign: CAs, and the key of a log.
func trustedRoot(t *testing.T, tools *node.Tools, authorities, log []byte) string {
	t.Helper()
	directory := t.TempDir()
	chain, key := filepath.Join(directory, "chain.pem"), filepath.Join(directory, "log.pem")
	root := filepath.Join(directory, "trusted_root.json")
	rig.OK(t, os.WriteFile(chain, authorities, 0o600))
	rig.OK(t, os.WriteFile(key, log, 0o600))
	rig.Must(tools.Cosign(t.Context(), nil, "trusted-root", "create",
		"--fulcio", fmt.Sprintf("url=https://fulcio.example,certificate-chain=%s", chain),
		"--rekor", fmt.Sprintf("url=https://rekor.example,public-key=%s,start-time=2024-01-01T00:00:00Z", key),
		"--out", root))(t)
	return root
}
