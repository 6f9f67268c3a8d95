package keyless_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/signature"
)

const slsa = "https://slsa.dev/provenance/v1"

// TestCosignsOldAttestationsCount makes the real cosign attest in its old format with a key, and judges what it
// attached.
func TestCosignsOldAttestationsCount(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	image := rig.Must(registry.Push(t.Context(), "team/old:v1", rig.Must(tools.Image("old"))(t)))(t)
	directory := t.TempDir()
	predicate := filepath.Join(directory, "predicate.json")
	rig.OK(t, os.WriteFile(predicate, []byte(`{"buildDefinition":{"buildType":"https://ci.example/v1",`+
		`"externalParameters":{}},"runDetails":{"builder":{"id":"https://ci.example/builder"}}}`), 0o600))
	ours := rig.Must(tools.GenerateKey(t.Context(), directory, "ours"))(t)
	other := rig.Must(tools.GenerateKey(t.Context(), directory, "other"))(t)
	rig.Must(tools.Cosign(t.Context(), nil, "attest", "--key", ours.Private, "--type", "slsaprovenance1",
		"--predicate", predicate, "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false",
		"--allow-http-registry", "--allow-insecure-registry", "-y", image.ByDigest()))(t)
	judged := func(key node.Key, where string) policy.Finding {
		return judgeAttestations(t, registry, image, map[string]any{
			"type": "attested", "predicateType": slsa, "keyPath": key.Public, "where": where,
		})
	}
	const builder = "predicate.runDetails.builder.id == 'https://ci.example/builder'"
	if finding := judged(ours, builder); !finding.Met {
		t.Errorf("what cosign attested is refused: %+v", finding)
	}
	if finding := judged(ours, "!("+builder+")"); finding.Met || finding.Cause != policy.FalseCondition {
		t.Errorf("a false condition: %+v", finding)
	}
	if finding := judged(other, builder); finding.Met || finding.Cause != policy.OtherKey {
		t.Errorf("another key: %+v", finding)
	}
}

// TestCosignVerifiesTheOldAttestationsWeAttach, which have a certificate and a log's promise.
func TestCosignVerifiesTheOldAttestationsWeAttach(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	sigstore := bundletest.NewSigstore(t)
	authorities := sigstore.Authorities(t)
	image := rig.Must(registry.Push(t.Context(), "team/keyless:v1", rig.Must(tools.Image("keyless"))(t)))(t)
	attested := sigstore.SignStatement(t, releaser, bundletest.Statement{
		Type: "https://in-toto.io/Statement/v0.1", PredicateType: slsa,
		Subject: []bundletest.Subject{{
			Name: image.Repository, Digest: map[string]string{"sha256": image.Digest.Encoded()},
		}},
		Predicate: map[string]any{"buildDefinition": map[string]any{}, "runDetails": map[string]any{}},
	}.JSON(t), time.Minute)
	envelope, annotations := attested.Old(t, authorities...)
	attachment := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	attachment = rig.Must(mutate.Append(attachment, mutate.Addendum{
		Layer: static.NewLayer(envelope, types.MediaType(format.EnvelopeType)), Annotations: annotations,
	}))(t)
	tag := strings.Replace(image.Digest.String(), ":", "-", 1) + ".att"
	rig.Must(registry.Push(t.Context(), "team/keyless:"+tag, attachment))(t)

	trusted := trustedRoot(t, tools, bundletest.CertificatePEM(authorities...), sigstore.LogPEM(t))
	verify := func(identity bundletest.Identity) error {
		_, err := tools.Cosign(t.Context(), nil, "verify-attestation", "--trusted-root", trusted, "--insecure-ignore-sct",
			"--new-bundle-format=false", "--type", slsa, "--allow-http-registry", "--allow-insecure-registry",
			"--certificate-identity", identity.Email, "--certificate-oidc-issuer", identity.Issuer, image.ByDigest())
		return err
	}
	stranger := bundletest.Identity{Email: "eve@example.com", Issuer: releaser.Issuer}
	for identity, want := range map[bundletest.Identity]bool{releaser: true, stranger: false} {
		if err := verify(identity); (err == nil) != want {
			t.Errorf("cosign says of %s: %v", identity.Email, err)
		}
		requirement := sigstore.Requirement(t, identity)
		requirement["type"], requirement["predicateType"] = "attested", slsa
		if fulcio, ok := requirement["fulcio"].(map[string]any); ok {
			fulcio["caData"] = bundletest.CertificatePEM(authorities[len(authorities)-1])
		}
		if finding := judgeAttestations(t, registry, image, requirement); finding.Met != want {
			t.Errorf("%s: %+v", identity.Email, finding)
		}
	}
}

// judgeAttestations fetches the attestations of an image, and judges them by a requirement.
func judgeAttestations(
	t *testing.T, registry *node.Registry, image node.Pushed, requirement map[string]any,
) policy.Finding {
	t.Helper()
	keeper := rig.Must(evidence.Open(evidence.Config{
		Directory: t.TempDir(), MaxSize: 1 << 20,
		Predicates: func(reference.Named) policy.Predicates { return policy.NewPredicates(slsa) },
	}))(t)
	defer keeper.Close()
	named := rig.Must(policy.Normalize(image.Reference))(t)
	rig.OK(t, keeper.Fetch(t.Context(), image.Digest, named))
	repository := strings.TrimPrefix(image.Repository, registry.Host+"/")
	raw, _, err := registry.Manifest(t.Context(), repository+"@"+image.Digest.String())
	rig.OK(t, err)
	manifest := policy.Manifest{
		Digest: image.Digest, MediaType: ocispec.MediaTypeImageManifest, Bytes: raw,
		Repositories: []string{named.Name()},
	}
	document := rig.Must(json.Marshal(map[string]any{"default": []any{requirement}}))(t)
	parsed := rig.Must(signature.NewParser(signature.Kinds(nil)).Parse(document, os.ReadFile))(t)
	return bundle.NewJudge().Judge(t.Context(), policy.JudgeRequest{
		Requirement: parsed.Default[0], Reference: named, Manifest: manifest,
		Evidence: keeper.Lookup([]policy.Manifest{manifest}, named)[0],
	})
}
