package bundle_test

import (
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// signedWithoutKey has images signed by identities, of which one counts.
func (s *site) signedWithoutKey(t *testing.T) {
	other := bundletest.Identity{Email: "eve@example.com", Issuer: builder.Issuer}
	image := s.push(t, "keyless/signed:v1")
	keyless.SignBundle(t, s.registry, image, s.sigstore, builder, image.Repository)
	s.runs(t, unkeyed, image)
	s.refused(t, prod, image, "rejected")

	byOther := s.push(t, "keyless/by-other:v1")
	keyless.SignBundle(t, s.registry, byOther, s.sigstore, other, byOther.Repository)
	s.refused(t, unkeyed, byOther, "rejected")

	elsewhere := s.push(t, "keyless/elsewhere:v1")
	keyless.SignBundle(t, s.registry, elsewhere, bundletest.NewSigstore(t), builder, elsewhere.Repository)
	s.refused(t, unkeyed, elsewhere, "rejected")

	nameless := s.push(t, "keyless/nameless:v1")
	keyless.SignBundle(t, s.registry, nameless, s.sigstore, builder, "")
	said, _ := s.refused(t, unkeyed, nameless, "rejected")
	says(t, said, "names no repository")

	// All of them beside each other: what is bad does not spoil what is good.
	all := s.push(t, "keyless/all:v1")
	keyless.SignBundle(t, s.registry, all, s.sigstore, other, all.Repository)
	keyless.SignBundle(t, s.registry, all, bundletest.NewSigstore(t), builder, all.Repository)
	keyless.SignBundle(t, s.registry, all, s.sigstore, builder, all.Repository)
	keyless.SignBundle(t, s.registry, all, s.sigstore, builder, nameless.Repository)
	s.sign(t, all, signing{by: &s.other, name: all.Repository})
	s.runs(t, unkeyed, all)
}
