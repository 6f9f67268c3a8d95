package bundle_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
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
	l.startDaemon(t, nil)
	s := l.site(t, node.RegistryConfig{InProcess: true})
	t.Run("an image has the attestations", s.withAttestations)
	t.Run("an attestation says something else", s.withFalseCondition)
	t.Run("attestations are missing, or by another key", s.withoutAttestations)
	t.Run("the examples of the documentation", s.documentedExamples)
	t.Run("somebody attaches 64 large attestations", s.withLargeAttestations)
}

func attested(key node.Key, predicateType, where string) node.Requirement {
	return node.Requirement{"type": "attested", "predicateType": predicateType, "keyPath": key.Public, "where": where}
}

// attest makes an attestation with cosign attest.
func (s *site) attest(t *testing.T, image node.Pushed, key node.Key, kind, predicate string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "predicate.json")
	rig.OK(t, os.WriteFile(path, []byte(predicate), 0o600))
	_, err := s.Tools.Cosign(t.Context(), s.Registry.DockerConfig(), "attest", "--key", key.Private, "--type", kind,
		"--predicate", path, "--tlog-upload=false", "--use-signing-config=false", "--allow-insecure-registry",
		"--allow-http-registry", "-y", image.ByDigest())
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

// withLargeAttestations has somebody without the key attach attestations of a mebibyte. Containers of other images
// start as before, and those of the image do when the right ones are attached.
func (s *site) withLargeAttestations(t *testing.T) {
	signed := s.Push(t, "shop/other:v1")
	s.named(t, signed)
	s.runs(t, prod, signed)
	image := s.Push(t, "shop/large:v1")
	key := bundletest.NewKey(t)
	for i := range 64 {
		s.attach(t, image, key, i)
	}
	begun := time.Now()
	if _, err := s.RunPodUntil(t.Context(), s.Pod(hosted, image)); err == nil {
		t.Fatal("an image with attestations by another key runs")
	}
	t.Logf("its pod is refused after %v", time.Since(begun))
	begun = time.Now()
	s.runs(t, prod, signed)
	t.Logf("a pod of another image runs after %v", time.Since(begun))
	s.attest(t, image, s.Key, "slsaprovenance1", provenance("https://ci.example/builder"))
	s.attest(t, image, s.Key, "openvex", notAffected())
	s.BecomesRunnable(t, hosted, image)
}

// attach attaches an attestation with a predicate of a mebibyte.
func (s *site) attach(t *testing.T, to node.Pushed, key *bundletest.Key, number int) {
	t.Helper()
	raw := bundletest.SignStatement(t, key, bundletest.Statement{
		Type: bundletest.StatementType, PredicateType: slsa,
		Subject:   []bundletest.Subject{{Name: to.Repository, Digest: map[string]string{"sha256": to.Digest.Encoded()}}},
		Predicate: map[string]any{"number": number, "padding": strings.Repeat("x", 1<<20)},
	}.JSON(t)).JSON(t)
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), bundletest.MediaType)
	attached, err := mutate.AppendLayers(image, static.NewLayer(raw, bundletest.MediaType))
	rig.OK(t, err)
	described, _ := mutate.Annotations(attached, map[string]string{
		"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": slsa,
	}).(v1.Image)
	subject := v1.Descriptor{
		MediaType: types.OCIManifestSchema1, Size: 1,
		Digest: v1.Hash{Algorithm: to.Digest.Algorithm().String(), Hex: to.Digest.Encoded()},
	}
	referrer, _ := mutate.Subject(described, subject).(v1.Image)
	repository := strings.TrimPrefix(to.Repository, s.Registry.Host+"/")
	_, err = s.Registry.Push(t.Context(), fmt.Sprintf("%s:attestation-%d", repository, number), referrer)
	rig.OK(t, err)
}
