package keyless_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestCosignVerifiesTheBundlesWeAttach makes the real cosign find a bundle by the registry's API and by the fallback
// tag, and verify it with our CA and log.
func TestCosignVerifiesTheBundlesWeAttach(t *testing.T) {
	tools := node.NewTools(t)
	sigstore := bundletest.NewSigstore(t)
	builder := bundletest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}
	authorities := sigstore.Requirement(t, builder)["fulcio"].(map[string]any)["caData"].([]byte)
	root := trustedRoot(t, tools, authorities, sigstore.LogPEM(t))
	for kind, config := range map[string]node.RegistryConfig{
		"with the referrers API": {InProcess: true}, "without the referrers API": {Tools: tools},
	} {
		t.Run(kind, func(t *testing.T) {
			registry := node.NewRegistry(t, config)
			pushed := rig.Must(registry.Push(t.Context(), "team/app:v1", rig.Must(tools.Image("signed"))(t)))(t)
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
