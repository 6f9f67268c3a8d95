package bundle_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// signedElsewhere runs images whose signatures cosign has attached in another repository, the one that
// [registry.signature_repositories] names.
func (s *site) signedElsewhere(t *testing.T) {
	for format, signing := range map[string]node.Signing{
		"old": {OldFormat: true}, "bundle": {},
	} {
		t.Run(format, func(t *testing.T) {
			signed, unsigned := s.Push(t, "elsewhere/"+format+":v1"), s.Push(t, "elsewhere/"+format+"-unsigned:v1")
			outside := s.Push(t, "inside/"+format+":v1")
			for _, image := range []node.Pushed{signed, outside} {
				signing.Image, signing.Key, signing.Repository = image, s.Key, s.Registry.Host+"/signatures"
				signing.Annotations = map[string]string{"docker-reference": image.Repository}
				rig.OK(t, s.Tools.Sign(t.Context(), signing))
			}
			s.runs(t, prod, signed)
			s.Refused(t, prod, unsigned, "unsigned")
			s.Refused(t, prod, outside, "unsigned")
		})
	}
	t.Run("a signature of another image", func(t *testing.T) {
		signed, other := s.Push(t, "elsewhere/signed:v1"), s.Push(t, "elsewhere/other:v1")
		repository := s.Registry.Host + "/signatures"
		rig.OK(t, s.Tools.Sign(t.Context(), node.Signing{
			Image: signed, Key: s.Key, OldFormat: true, Repository: repository,
		}))
		s.runs(t, prod, signed)
		tag := "signatures:" + node.SignatureTag(signed.Digest)
		_, signature, err := s.Registry.Manifest(t.Context(), tag)
		rig.OK(t, err)
		rig.OK(t, s.Registry.Tag(t.Context(), node.Pushed{Repository: repository, Digest: signature},
			node.SignatureTag(other.Digest)))
		says(t, s.Refused(t, prod, other, "rejected").Detail, strings.TrimPrefix(signed.Digest.String(), "sha256:"))
	})
}
