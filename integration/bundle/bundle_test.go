package bundle_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func TestBundles(t *testing.T) {
	l := newLab(t)
	for kind, config := range map[string]node.RegistryConfig{
		"in a registry with the referrers API":    {InProcess: true},
		"in a registry without the referrers API": l.Distribution(),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := l.site(t, config)
			t.Run("an image is signed for its repository", s.signedForRepository)
			t.Run("a signature is copied to another repository", s.copiedSignature)
			t.Run("a signature names a tag", s.namedTag)
			t.Run("an index is signed with all in it", s.recursive)
			t.Run("an image has signatures of both formats", s.bothFormats)
			t.Run("an image is signed without a key", s.signedWithoutKey)
			t.Run("a signature names no repository", s.namelessSignature)
			t.Run("several sign", s.severalSigners)
			t.Run("a person asks about images that are on no node", s.checked)
			t.Run("images are signed after they were refused", s.signedLate)
		})
	}
}

func (s *site) signedForRepository(t *testing.T) {
	image := s.Push(t, "shop/signed:v1")
	s.named(t, image)
	s.runs(t, prod, image)
	s.runs(t, legacy, image)
	unsigned := s.Push(t, "shop/unsigned:v1")
	s.Refused(t, prod, unsigned, "unsigned")
	byOther := s.Push(t, "shop/by-other:v1")
	s.sign(t, byOther, signing{by: &s.other, name: byOther.Repository})
	s.Refused(t, prod, byOther, "rejected")
	s.Refused(t, legacy, byOther, "rejected")
	s.Refused(t, "plain", image, "rejected")
	// The signed name is the repository's, so it applies to other tags as well.
	rig.OK(t, s.Registry.Tag(t.Context(), image, "v2"))
	tagged := image
	tagged.Reference = strings.TrimSuffix(image.Reference, ":v1") + ":v2"
	s.runs(t, prod, tagged, "shop/signed:v1")
}

// copiedSignature has an attacker copy a signed image and its signature to the repository of another team.
func (s *site) copiedSignature(t *testing.T) {
	image := s.Push(t, "dev/copied:v1")
	s.named(t, image)
	copied := rig.Must(s.Registry.Push(t.Context(), "shop/copied:v1", s.Image(t, "dev/copied:v1")))(t)
	if copied.Digest != image.Digest {
		t.Fatalf("the copy is another image: %s and %s", copied.Digest, image.Digest)
	}
	rig.OK(t, s.Registry.CopyReferrers(t.Context(), image, "shop/copied"))
	s.runs(t, prod, image)
	for _, namespace := range []string{prod, legacy} {
		says(t, s.Refused(t, namespace, copied, "rejected").Detail, image.Repository)
	}
	s.runs(t, prod, image)
}

func (s *site) namelessSignature(t *testing.T) {
	image := s.Push(t, "shop/nameless:v1")
	s.sign(t, image, signing{})
	refusal := s.Refused(t, prod, image, "rejected")
	says(t, refusal.Said, "valid signature", "names no repository", "-a docker-reference=")
	says(t, refusal.Detail, "names no repository")
	if len(refusal.Said) > 300 {
		t.Errorf("the text reveals too much to the author: %s", refusal.Said)
	}
	s.runs(t, legacy, image)
}

func (s *site) namedTag(t *testing.T) {
	image := s.Push(t, "shop/tagged:v1")
	s.sign(t, image, signing{name: image.Reference})
	s.runs(t, prod, image)
	s.runs(t, exact, image)
	rig.OK(t, s.Registry.Tag(t.Context(), image, "v2"))
	tagged := image
	tagged.Reference = strings.TrimSuffix(image.Reference, ":v1") + ":v2"
	s.runs(t, prod, tagged, "shop/tagged:v1")
	s.Refused(t, exact, tagged, "rejected")
}

func (s *site) recursive(t *testing.T) {
	index, instance := s.Index(t, "shop/index:v1")
	s.sign(t, index, signing{name: index.Repository, recursive: true})
	s.runs(t, prod, index)
	s.runs(t, prod, instance, "shop/index:v1")
	// Another index that lists the same instance is not signed, but its instance is.
	other := rig.Must(s.Registry.PushIndex(t.Context(), "shop/index:other", node.Index(
		node.Child{Manifest: s.Image(t, "shop/index:v1"), Platform: node.Linux(runtime.GOARCH)},
	)))(t)
	s.runs(t, prod, other, "shop/index:v1")
}

func (s *site) severalSigners(t *testing.T) {
	one := s.Push(t, "shop/signed-once:v1")
	s.sign(t, one, signing{by: &s.other, name: one.Repository})
	s.Refused(t, both, one, "rejected")
	several := s.Push(t, "shop/signed-twice:v1")
	s.sign(t, several, signing{by: &s.other, name: several.Repository})
	s.named(t, several)
	s.runs(t, prod, several)
	s.runs(t, both, several)
}

func (s *site) bothFormats(t *testing.T) {
	for name, test := range map[string]struct {
		signings []signing
		accepted bool
	}{
		"a good one in the old format and a bundle by another key": {
			[]signing{{by: &s.other, name: "shop"}, {old: true}}, true,
		},
		"a good bundle and one by another key in the old format": {
			[]signing{{by: &s.other, old: true}, {name: "shop"}}, true,
		},
		"a good one in the old format and a bundle without a name": {
			[]signing{{}, {old: true}}, true,
		},
		"both of another": {
			[]signing{{by: &s.other, old: true}, {by: &s.other, name: "shop"}}, false,
		},
		// The annotation is not the identity in the old format, and cosign's own identity is not that of a bundle.
		"a bundle without a name and one by another key in the old format": {
			[]signing{{}, {by: &s.other, old: true}}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := s.Push(t, "shop/"+strings.ReplaceAll(name, " ", "-")+":v1")
			for _, how := range test.signings {
				if how.name != "" {
					how.name = image.Repository
				}
				s.sign(t, image, how)
			}
			if test.accepted {
				s.runs(t, prod, image)
				return
			}
			s.Refused(t, prod, image, "rejected")
		})
	}
}

// signedLate signs images again after they were refused, as the refusal advises.
func (s *site) signedLate(t *testing.T) {
	unsigned, nameless, byOther := s.Push(t, "late/unsigned:v1"), s.Push(t, "late/nameless:v1"), s.Push(t, "late/other:v1")
	s.sign(t, nameless, signing{})
	s.sign(t, byOther, signing{by: &s.other, name: byOther.Repository})
	s.Refused(t, prod, unsigned, "unsigned")
	s.Refused(t, prod, nameless, "rejected")
	s.Refused(t, prod, byOther, "rejected")
	images := []node.Pushed{unsigned, nameless, byOther}
	for _, image := range images {
		s.named(t, image)
	}
	for _, image := range images {
		s.BecomesRunnable(t, prod, image)
	}
}

// TestDigestIsEnoughWhereTheOperatorSaysSo has the opposite setting for the node, with an exception for a namespace.
func TestDigestIsEnoughWhereTheOperatorSaysSo(t *testing.T) {
	l := newLab(t)
	rig.OK(t, l.Daemon.Terminate(t.Context()))
	l.startDaemon(t, map[string]map[string]any{
		"bundles": {"identity": "digest"}, "bundles.namespaces": {legacy: "annotation"},
	})
	s := l.site(t, node.RegistryConfig{InProcess: true})
	nameless := s.Push(t, "shop/nameless:v1")
	s.sign(t, nameless, signing{})
	s.runs(t, prod, nameless)
	s.Refused(t, legacy, nameless, "rejected")
	// A name is never ignored: a signature for one repository does not count for another.
	image := s.Push(t, "dev/copied:v1")
	s.named(t, image)
	copied := rig.Must(s.Registry.Push(t.Context(), "shop/copied:v1", s.Image(t, "dev/copied:v1")))(t)
	rig.OK(t, s.Registry.CopyReferrers(t.Context(), image, "shop/copied"))
	s.runs(t, prod, image)
	s.Refused(t, prod, copied, "rejected")
}
