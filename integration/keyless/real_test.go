package keyless_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestImagesOfRealServersRun runs images that cosign signed and attested with real servers, and no others, under the
// trusted root that cosign made of the servers.
func TestImagesOfRealServersRun(t *testing.T) {
	w := rig.NewWorkshop(t)
	r := w.NewRig(t, node.NewRegistry(t, node.RegistryConfig{InProcess: true}))
	ours, programs := keyless.NewDeployment(t, r.Tools), keyless.BuildServers(t)
	theirs := ours.With(t, keyless.StartLog(t, programs), keyless.StartStamper(t, programs))
	file := filepath.Join(t.TempDir(), "trusted_root.json")
	rig.OK(t, os.WriteFile(file, rig.Must(protojson.Marshal(ours.TrustedRoot(t)))(t), 0o600))
	write := func(namespace string, more map[string]any) {
		t.Helper()
		requirement := map[string]any{
			"type": "sigstoreSigned", "trustedRootPath": file,
			"fulcio":         map[string]any{"oidcIssuer": maker.Issuer, "subjectEmail": maker.Email},
			"signedIdentity": map[string]any{"type": "matchRepository"},
		}
		maps.Copy(requirement, more)
		document := rig.Must(json.Marshal(map[string]any{"default": []any{requirement}}))(t)
		rig.OK(t, r.WritePolicy(namespace, string(document)))
	}
	const builtHere = "predicate.runDetails.builder.id == 'https://ci.example/builder'"
	rig.OK(t, r.WritePolicy("", `{"default": [{"type": "reject"}]}`))
	write("prod", nil)
	write("unlogged", map[string]any{"tlog": "none"})
	write("released", map[string]any{"fulcio": map[string]any{
		"oidcIssuer":        ours.Fulcio.Workflows,
		"subjectURIPattern": `https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+`,
		"runnerEnvironment": "github-hosted", "sourceRepositoryOwnerURI": "https://github.com/acme", "buildTrigger": "push",
	}})
	write("proven", map[string]any{"type": "attested", "predicateType": slsa, "where": builtHere})
	r.Daemon = r.PrepareDaemon(t, node.DaemonConfig{})
	r.Start(t)
	both := keyless.Seen{Log: true, Stamper: true}
	full, other, stamped := r.Push(t, "real/full:v1"), r.Push(t, "real/other:v1"), r.Push(t, "real/stamped:v1")
	proven, elsewhere := r.Push(t, "real/proven:v1"), r.Push(t, "real/elsewhere:v1")
	ours.Sign(t, full, maker, both)
	theirs.Sign(t, other, maker, both)
	ours.Sign(t, stamped, maker, keyless.Seen{Stamper: true})
	ours.Attest(t, proven, maker, provenance("https://ci.example/builder"))
	ours.Attest(t, elsewhere, maker, provenance("https://elsewhere.example"))
	wantRuns(t, r, "prod", full)
	wantRuns(t, r, "unlogged", stamped)
	wantRuns(t, r, "proven", proven)
	r.Refused(t, "prod", other, "rejected")
	r.Refused(t, "prod", stamped, "rejected")
	r.Refused(t, "proven", elsewhere, "rejected")
	r.Refused(t, "proven", full, "unsigned")
	r.Refused(t, "prod", proven, "unsigned")
	t.Run("workflows", func(t *testing.T) { runsWorkflows(t, r, ours) })
	t.Run("show-signers", func(t *testing.T) { showsSigners(t, r, full, proven, file) })
}

// runsWorkflows signs images as workflows to whom Fulcio has issued certificates. Only the one of the release runs.
func runsWorkflows(t *testing.T, r *rig.Rig, ours *keyless.Deployment) {
	t.Helper()
	for name, by := range map[string]signaturetest.Workflow{
		"release": signaturetest.NewWorkflow("acme", "app", "refs/tags/v1.2"),
		"branch":  signaturetest.NewWorkflow("acme", "app", "refs/heads/main"),
		"fork":    signaturetest.NewWorkflow("mallory", "app", "refs/tags/v1.2"),
		"prefix":  signaturetest.NewWorkflow("acme-evil", "app", "refs/tags/v1.2"),
		"suffix":  signaturetest.NewWorkflow("evil-acme", "app", "refs/tags/v1.2"),
	} {
		image := r.Push(t, "workflow/"+name+":v1")
		ours.SignAs(t, image, by)
		r.Refused(t, "prod", image, "rejected")
		if name == "release" {
			wantRuns(t, r, "released", image)
			continue
		}
		refusal := r.Refused(t, "released", image, "rejected")
		if !strings.Contains(refusal.Detail, "does not match") {
			t.Errorf("%s: %s", name, refusal.Detail)
		}
	}
}

func provenance(builder string) map[string]any {
	return map[string]any{
		"buildDefinition": map[string]any{"buildType": "https://ci.example/v1", "externalParameters": map[string]any{}},
		"runDetails":      map[string]any{"builder": map[string]any{"id": builder}},
	}
}

// showsSigners compares what policy show-signers prints of a signed and of an attested image, and the requirements that
// accept them. The signed image is the first in the log. The trusted root in a file verifies timestamps.
func showsSigners(t *testing.T, r *rig.Rig, signed, attested node.Pushed, root string) {
	t.Helper()
	show := func(arguments ...string) string {
		t.Helper()
		arguments = append([]string{"policy", "show-signers", "--config", r.Daemon.ConfigFile()}, arguments...)
		output, err := exec.CommandContext(t.Context(), r.Program, arguments...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", arguments, err, output)
		}
		return string(output)
	}
	lines := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	wants := func(text string, words ...string) {
		t.Helper()
		for _, want := range words {
			if !strings.Contains(lines(text), want) {
				t.Errorf("it does not print %q:\n%s", want, text)
			}
		}
	}
	wants(show(signed.Reference), "repository: "+signed.Repository, "1: bundle", "name: "+signed.Repository,
		"of: "+signed.Digest.String(), "signer: "+maker.Email, "issuer: "+maker.Issuer,
		`1.3.6.1.4.1.57264.1.8: Issuer (V2) "`+maker.Issuer+`"`, "log index: 0", "Z, unverified")
	wants(show("--trusted-root", root, signed.Reference), "Z, verified: a timestamp authority of the trusted root")
	wants(show(attested.Reference), "1: attestation", "predicate: "+slsa, "signer: "+maker.Email)
	wants(show("--as-policy=1", "--trusted-root", "/root.json", signed.Reference),
		`"type": "sigstoreSigned"`, `"trustedRootPath": "/root.json"`, `"subjectEmail": "`+maker.Email+`"`)
	wants(show("--as-policy=1", attested.Reference), `"type": "attested"`, `"predicateType": "`+slsa+`"`)
}
