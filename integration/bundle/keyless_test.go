package bundle_test

import (
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// signedWithoutKey creates images signed by several identities, one of which the policy accepts.
func (s *site) signedWithoutKey(t *testing.T) {
	other := bundletest.Identity{Email: "eve@example.com", Issuer: builder.Issuer}
	image := s.Push(t, "keyless/signed:v1")
	keyless.SignBundle(t, s.Registry, image, s.sigstore, builder, image.Repository)
	s.runs(t, unkeyed, image)
	s.Refused(t, prod, image, "rejected")

	byOther := s.Push(t, "keyless/by-other:v1")
	keyless.SignBundle(t, s.Registry, byOther, s.sigstore, other, byOther.Repository)
	s.Refused(t, unkeyed, byOther, "rejected")

	elsewhere := s.Push(t, "keyless/elsewhere:v1")
	keyless.SignBundle(t, s.Registry, elsewhere, bundletest.NewSigstore(t), builder, elsewhere.Repository)
	s.Refused(t, unkeyed, elsewhere, "rejected")

	nameless := s.Push(t, "keyless/nameless:v1")
	keyless.SignBundle(t, s.Registry, nameless, s.sigstore, builder, "")
	says(t, s.Refused(t, unkeyed, nameless, "rejected").Said, "names no repository")

	// All of them on one image: invalid signatures must not affect the valid one.
	all := s.Push(t, "keyless/all:v1")
	keyless.SignBundle(t, s.Registry, all, s.sigstore, other, all.Repository)
	keyless.SignBundle(t, s.Registry, all, bundletest.NewSigstore(t), builder, all.Repository)
	keyless.SignBundle(t, s.Registry, all, s.sigstore, builder, all.Repository)
	keyless.SignBundle(t, s.Registry, all, s.sigstore, builder, nameless.Repository)
	s.sign(t, all, signing{by: &s.other, name: all.Repository})
	s.runs(t, unkeyed, all)
}
