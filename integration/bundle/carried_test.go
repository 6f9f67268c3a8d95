package bundle_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// withCarriedAttestations runs an image with attestations in cosign's old format. Then the registry ends, and another
// daemon on the same node has what was exported from the first one.
func (s *site) withCarriedAttestations(t *testing.T) {
	image := s.Push(t, "shop/carried:v1")
	for _, what := range []attestation{
		{"slsaprovenance1", provenance("https://ci.example/builder")}, {"openvex", notAffected()},
	} {
		s.attestAs(t, image, s.Key, what, "--new-bundle-format=false")
	}
	s.runs(t, hosted, image)
	exported := filepath.Join(t.TempDir(), "evidence.tar")
	rig.Must(s.Evidence(t, "export", image.Reference, "-o", exported))(t)
	rig.OK(t, s.Registry.Stop())
	rig.OK(t, s.Daemon.Terminate(t.Context()))

	s.startDaemon(t, nil)
	s.Refused(t, hosted, image, "unavailable")
	rig.Must(s.Evidence(t, "import", exported))(t)
	pod, err := s.RunPodUntil(t.Context(), node.Pod{
		Namespace: hosted, Name: "carried", Container: node.Container{Image: image.Reference, Pull: node.Never},
	})
	rig.OK(t, err)
	defer func() { rig.OK(t, pod.Remove(context.WithoutCancel(t.Context()))) }()
	rig.WantMarker(t, pod, s.Marker(image))
}
