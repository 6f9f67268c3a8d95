package keyless_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

var releaser = bundletest.Identity{Email: "release@example.com", Issuer: "https://issuer.example"}

// TestImagesOfATrustedRootRun runs images in prod that were signed with Rekor v2 and a timestamp, by the services of a
// trusted root, and no others. Then the file changes.
func TestImagesOfATrustedRootRun(t *testing.T) {
	w := rig.NewWorkshop(t)
	r := w.NewRig(t, node.NewRegistry(t, node.RegistryConfig{InProcess: true}))
	ours, theirs := bundletest.NewServices(t), bundletest.NewServices(t)
	file := filepath.Join(t.TempDir(), "trusted_root.json")
	rig.OK(t, os.WriteFile(file, ours.File(t).JSON(t), 0o600))
	write := func(namespace string, more map[string]any) {
		t.Helper()
		requirement := map[string]any{
			"type": "sigstoreSigned", "trustedRootPath": file,
			"fulcio":         map[string]any{"oidcIssuer": releaser.Issuer, "subjectEmail": releaser.Email},
			"signedIdentity": map[string]any{"type": "matchRepository"},
		}
		maps.Copy(requirement, more)
		document := rig.Must(json.Marshal(map[string]any{"default": []any{requirement}}))(t)
		rig.OK(t, r.WritePolicy(namespace, string(document)))
	}
	rig.OK(t, r.WritePolicy("", `{"default": [{"type": "reject"}]}`))
	write("prod", nil)
	write("unlogged", map[string]any{"tlog": "none"})
	r.Daemon = r.PrepareDaemon(t, node.DaemonConfig{})
	r.Start(t)
	sign := func(by *bundletest.Services, image node.Pushed, identity bundletest.Identity, seen bundletest.Seen) {
		t.Helper()
		bundle := by.SignSeen(t, identity, image.Digest, image.Repository, seen)
		rig.OK(t, keyless.AttachBundle(t.Context(), r.Registry, image, bundle.JSON(t)))
	}
	both := bundletest.Seen{Log: true, Stamper: true}
	full, other, stranger := r.Push(t, "rooted/full:v1"), r.Push(t, "rooted/other:v1"), r.Push(t, "rooted/stranger:v1")
	logged, stamped := r.Push(t, "rooted/logged:v1"), r.Push(t, "rooted/stamped:v1")
	promised, unsigned := r.Push(t, "rooted/promised:v1"), r.Push(t, "rooted/unsigned:v1")
	sign(ours, full, releaser, both)
	sign(theirs, other, releaser, both)
	sign(ours, stranger, bundletest.Identity{Email: "eve@example.com", Issuer: releaser.Issuer}, both)
	sign(ours, logged, releaser, bundletest.Seen{Log: true})
	sign(ours, stamped, releaser, bundletest.Seen{Stamper: true})
	// The virtual log promises for five minutes later, when the certificate is valid.
	keyless.SignBundle(t, r.Registry, promised, ours.Sigstore, releaser, promised.Repository)
	wantRuns(t, r, "prod", full)
	wantRuns(t, r, "prod", promised)
	wantRuns(t, r, "unlogged", stamped)
	for _, image := range []node.Pushed{other, stranger, logged, stamped} {
		r.Refused(t, "prod", image, "rejected")
	}
	r.Refused(t, "unlogged", logged, "rejected")
	r.Refused(t, "prod", unsigned, "unsigned")

	rig.OK(t, os.WriteFile(file, theirs.File(t).JSON(t), 0o600))
	r.BecomesRunnable(t, "prod", other)
	r.Refused(t, "prod", full, "rejected")
}

// TestCosignVerifiesRekorV2AndTimestamps makes the real cosign verify what our services make.
func TestCosignVerifiesRekorV2AndTimestamps(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	ours := bundletest.NewServices(t)
	root := filepath.Join(t.TempDir(), "trusted_root.json")
	rig.OK(t, os.WriteFile(root, ours.File(t).JSON(t), 0o600))
	for name, test := range map[string]struct {
		seen bundletest.Seen
		want bool
	}{
		"both":         {bundletest.Seen{Log: true, Stamper: true}, true},
		"no timestamp": {bundletest.Seen{Log: true}, false},
		"no log":       {bundletest.Seen{Stamper: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			reference := fmt.Sprintf("cosign/log%tstamp%t:v1", test.seen.Log, test.seen.Stamper)
			image := rig.Must(registry.Push(t.Context(), reference, rig.Must(tools.Image(name))(t)))(t)
			bundle := ours.SignSeen(t, releaser, image.Digest, image.Repository, test.seen)
			rig.OK(t, keyless.AttachBundle(t.Context(), registry, image, bundle.JSON(t)))
			_, err := tools.Cosign(t.Context(), nil, "verify", "--trusted-root", root, "--insecure-ignore-sct",
				"--use-signed-timestamps", "--allow-http-registry", "--allow-insecure-registry",
				"--certificate-identity", releaser.Email, "--certificate-oidc-issuer", releaser.Issuer,
				"-a", "docker-reference="+image.Repository, image.ByDigest())
			if (err == nil) != test.want {
				t.Errorf("cosign says %v", err)
			}
		})
	}
}
