package bundle_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// slsa is the predicate type of provenance, vex that of OpenVEX, and hosted the namespace that requires both.
const (
	slsa   = "https://slsa.dev/provenance/v1"
	vex    = "https://openvex.dev/ns"
	hosted = "hosted"
)

// TestAttestations runs images with attestations that cosign made.
func TestAttestations(t *testing.T) {
	w := rig.NewWorkshop(t)
	l := &lab{Rig: w.NewRig(t, nil), other: w.NewKey(t, "other")}
	l.require(t, "", node.Reject())
	l.require(t, prod, node.Cosign(l.Key.Public))
	l.require(t, hosted,
		attested(l.Key, slsa, "predicate.runDetails.builder.id == 'https://ci.example/builder'"),
		attested(l.Key, vex, "!predicate.statements.exists(s, s.status == 'affected')"))
	examples := documentedRequirements(t, l.Key)
	if len(examples) != 5 {
		t.Errorf("docs/policy.md has %d examples of attested requirements, want 5", len(examples))
	}
	l.require(t, documented, examples...)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	l.startDaemon(t, map[string]map[string]any{"registry.signature_repositories": {
		registry.Host + "/elsewhere": registry.Host + "/signatures",
	}})
	s := &site{*l}
	s.Rig = l.With(registry)
	t.Run("an image has the attestations", s.withAttestations)
	t.Run("an attestation says something else", s.withFalseCondition)
	t.Run("attestations are missing, or by another key", s.withoutAttestations)
	t.Run("the examples of the documentation", s.documentedExamples)
	t.Run("somebody attaches 64 large attestations", s.withLargeAttestations)
	t.Run("signatures are in another repository", s.signedElsewhere)
	t.Run("the node is cut off from the registry", s.withCarriedAttestations)
}

func attested(key node.Key, predicateType, where string) node.Requirement {
	return node.Requirement{"type": "attested", "predicateType": predicateType, "keyPath": key.Public, "where": where}
}

// attest makes an attestation with cosign attest.
func (s *site) attest(t *testing.T, image node.Pushed, key node.Key, kind, predicate string) {
	t.Helper()
	s.attestAs(t, image, key, attestation{kind, predicate})
}

// attestAs makes an attestation with cosign attest and more arguments.
func (s *site) attestAs(t *testing.T, image node.Pushed, key node.Key, what attestation, more ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "predicate.json")
	rig.OK(t, os.WriteFile(path, []byte(what.predicate), 0o600))
	arguments := append([]string{
		"attest", "--key", key.Private, "--type", what.kind, "--predicate", path, "--tlog-upload=false",
		"--use-signing-config=false", "--allow-insecure-registry", "--allow-http-registry", "-y",
	}, more...)
	_, err := s.Tools.Cosign(t.Context(), s.Registry.DockerConfig(), append(arguments, image.ByDigest())...)
	rig.OK(t, err)
}

func provenance(builder string) string {
	return fmt.Sprintf(`{"buildDefinition":{"buildType":"https://ci.example/build/v1","externalParameters":{}},`+
		`"runDetails":{"builder":{"id":%q}}}`, builder)
}

func notAffected() string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex","author":"us",` +
		`"timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1"},` +
		`"status":"not_affected","justification":"component_not_present"}]}`
}

func (s *site) withAttestations(t *testing.T) {
	image := s.Push(t, "shop/attested:v1")
	s.attest(t, image, s.Key, "slsaprovenance1", provenance("https://ci.example/builder"))
	s.attest(t, image, s.Key, "openvex", notAffected())
	s.runs(t, hosted, image)
	says(t, s.Refused(t, prod, image, "unsigned").Detail, "no bundle")
}

func (s *site) withFalseCondition(t *testing.T) {
	image := s.Push(t, "shop/elsewhere:v1")
	s.attest(t, image, s.Key, "slsaprovenance1", provenance("https://elsewhere.example"))
	s.attest(t, image, s.Key, "openvex", notAffected())
	says(t, s.Refused(t, hosted, image, "rejected").Detail, "the condition is not true for it")
}

func (s *site) withoutAttestations(t *testing.T) {
	image := s.Push(t, "shop/half:v1")
	s.attest(t, image, s.Key, "slsaprovenance1", provenance("https://ci.example/builder"))
	says(t, s.Refused(t, hosted, image, "unsigned").Detail, "no attestation of type "+vex)
	byOther := s.Push(t, "shop/attested-by-other:v1")
	s.attest(t, byOther, s.other, "slsaprovenance1", provenance("https://ci.example/builder"))
	s.attest(t, byOther, s.other, "openvex", notAffected())
	s.Refused(t, hosted, byOther, "rejected")
}
