package bundle_test

import (
	"fmt"
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
	_, err := s.RunPodUntil(t.Context(), s.Pod(hosted, image))
	if err == nil || !strings.Contains(err.Error(), rig.RefusalPrefix) {
		t.Fatalf("an image with attestations by another key should be refused, and the error is: %v", err)
	}
	t.Logf("its pod is refused after %v", time.Since(begun))
	s.answeredInTime(t, image)
	begun = time.Now()
	s.runs(t, prod, signed)
	t.Logf("a pod of another image runs after %v", time.Since(begun))
	s.attest(t, image, s.Key, "slsaprovenance1", provenance("https://ci.example/builder"))
	s.attest(t, image, s.Key, "openvex", notAffected())
	s.BecomesRunnable(t, hosted, image)
}

// answeredInTime fails the test unless containerd had each answer about an image in time: those about judgements that
// took longer are pending, and containerd has not disconnected the plugin. It prints how long containerd waited.
func (s *site) answeredInTime(t *testing.T, image node.Pushed) {
	t.Helper()
	pending := 0
	for _, decision := range rig.Must(s.Daemon.Decisions())(t) {
		if decision.Reference != image.Reference {
			continue
		}
		t.Logf("answered after %v s: %s: %s", decision.Record["took_seconds"], decision.Reason, decision.Detail)
		if decision.Reason == "pending" {
			pending++
		}
	}
	if pending == 0 {
		t.Error("no answer was pending: containerd waited until the attestations were fetched and judged")
	}
	if registrations := rig.Must(s.Daemon.Log("registered with containerd"))(t); len(registrations) != 1 {
		t.Errorf("the plugin registered %d times", len(registrations))
	}
	for line := range strings.Lines(rig.Must(s.Daemon.Metrics(t.Context()))(t)) {
		if strings.HasPrefix(line, "countersign_callback_duration_seconds") {
			t.Log(strings.TrimSpace(line))
		}
	}
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
