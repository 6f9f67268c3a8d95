package bundle_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
)

func TestBundles(t *testing.T) {
	l := newLab(t)
	for kind, config := range map[string]node.RegistryConfig{
		"in a registry with the referrers API":    {InProcess: true},
		"in a registry without the referrers API": {Tools: l.Tools},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := &site{lab: l, registry: node.NewRegistry(t, config)}
			t.Run("an image is signed for its repository", s.signedForRepository)
			t.Run("a signature is copied to another repository", s.copiedSignature)
			t.Run("a signature names a tag", s.namedTag)
			t.Run("an index is signed with all in it", s.recursive)
			t.Run("signatures of both formats stand beside each other", s.bothFormats)
			t.Run("an image is signed without a key", s.signedWithoutKey)
			t.Run("a signature names no repository", s.namelessSignature)
			t.Run("several sign", s.severalSigners)
			t.Run("a person asks about images that are on no node", s.checked)
			t.Run("images are signed after they were refused", s.signedLate)
		})
	}
}

func (s *site) signedForRepository(t *testing.T) {
	image := s.push(t, "shop/signed:v1")
	s.named(t, image)
	s.runs(t, prod, image)
	s.runs(t, legacy, image)
	unsigned := s.push(t, "shop/unsigned:v1")
	s.refused(t, prod, unsigned, "unsigned")
	byOther := s.push(t, "shop/by-other:v1")
	s.sign(t, byOther, signing{by: &s.other, name: byOther.Repository})
	s.refused(t, prod, byOther, "rejected")
	s.refused(t, legacy, byOther, "rejected")
	s.refused(t, "plain", image, "rejected")
	// The name is what was signed, and not only for the tag that there was then.
	no(t, s.registry.Tag(t.Context(), image, "v2"))
	tagged := image
	tagged.Reference = strings.TrimSuffix(image.Reference, ":v1") + ":v2"
	s.runs(t, prod, tagged, "shop/signed:v1")
}

// copiedSignature has an attacker copy a signed image with its signature to where another team's images belong.
func (s *site) copiedSignature(t *testing.T) {
	image := s.push(t, "dev/copied:v1")
	s.named(t, image)
	copied := must(s.registry.Push(t.Context(), "shop/copied:v1", s.image(t, "dev/copied:v1")))(t)
	if copied.Digest != image.Digest {
		t.Fatalf("the copy is another image: %s and %s", copied.Digest, image.Digest)
	}
	no(t, s.registry.CopyReferrers(t.Context(), image, "shop/copied"))
	s.runs(t, prod, image)
	for _, namespace := range []string{prod, legacy} {
		_, decision := s.refused(t, namespace, copied, "rejected")
		says(t, decision.Detail, image.Repository)
	}
	s.runs(t, prod, image)
}

func (s *site) namelessSignature(t *testing.T) {
	image := s.push(t, "shop/nameless:v1")
	s.sign(t, image, signing{})
	said, decision := s.refused(t, prod, image, "rejected")
	says(t, said, "valid signature", "names no repository", "-a docker-reference=")
	says(t, decision.Detail, "names no repository")
	if len(said) > 300 {
		t.Errorf("the author is told too much: %s", said)
	}
	s.runs(t, legacy, image)
}

// becomes runs a pod until it runs: a signature that was made after a refusal is looked for again.
func (s *site) becomes(t *testing.T, namespace string, image node.Pushed) {
	t.Helper()
	eventually(t, image.Reference+" to run", func() error {
		pod, err := s.RunPodUntil(t.Context(), s.pod(namespace, image))
		if err != nil {
			return err
		}
		return pod.Remove(t.Context())
	})
}

func (s *site) namedTag(t *testing.T) {
	image := s.push(t, "shop/tagged:v1")
	s.sign(t, image, signing{name: image.Reference})
	s.runs(t, prod, image)
	s.runs(t, exact, image)
	no(t, s.registry.Tag(t.Context(), image, "v2"))
	tagged := image
	tagged.Reference = strings.TrimSuffix(image.Reference, ":v1") + ":v2"
	s.runs(t, prod, tagged, "shop/tagged:v1")
	s.refused(t, exact, tagged, "rejected")
}

func (s *site) recursive(t *testing.T) {
	here, elsewhere := s.image(t, "here"), must(s.Tools.ImageFor("elsewhere", *node.Linux("s390x")))(t)
	index := must(s.registry.PushIndex(t.Context(), "shop/index:v1", node.Index(
		node.Child{Manifest: elsewhere, Platform: node.Linux("s390x")},
		node.Child{Manifest: here, Platform: node.Linux(runtime.GOARCH)},
	)))(t)
	s.sign(t, index, signing{name: index.Repository, recursive: true})
	s.runs(t, prod, index, "here")
	instance := index
	instance.Digest = digest.Digest(must(here.Digest())(t).String())
	instance.Reference = instance.ByDigest()
	s.runs(t, prod, instance, "here")
	// Somebody else's index that lists the same instance is signed by nobody, but its instance is.
	other := must(s.registry.PushIndex(t.Context(), "shop/index:other", node.Index(
		node.Child{Manifest: here, Platform: node.Linux(runtime.GOARCH)},
	)))(t)
	s.runs(t, prod, other, "here")
}

func (s *site) severalSigners(t *testing.T) {
	one := s.push(t, "shop/signed-once:v1")
	s.sign(t, one, signing{by: &s.other, name: one.Repository})
	s.refused(t, both, one, "rejected")
	several := s.push(t, "shop/signed-twice:v1")
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
		"a good one in the old format beside a bundle of another": {
			[]signing{{by: &s.other, name: "shop"}, {old: true}}, true,
		},
		"a good bundle beside one of another in the old format": {
			[]signing{{by: &s.other, old: true}, {name: "shop"}}, true,
		},
		"a good one in the old format beside a bundle without a name": {
			[]signing{{}, {old: true}}, true,
		},
		"both of another": {
			[]signing{{by: &s.other, old: true}, {by: &s.other, name: "shop"}}, false,
		},
		// In the old format the annotation is no identity, nor is cosign's own a bundle's.
		"a bundle without a name beside one of another in the old format": {
			[]signing{{}, {by: &s.other, old: true}}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := s.push(t, "shop/"+strings.ReplaceAll(name, " ", "-")+":v1")
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
			s.refused(t, prod, image, "rejected")
		})
	}
}

// signedLate signs images once more after they were refused, as the refusal advises.
func (s *site) signedLate(t *testing.T) {
	unsigned, nameless, byOther := s.push(t, "late/unsigned:v1"), s.push(t, "late/nameless:v1"), s.push(t, "late/other:v1")
	s.sign(t, nameless, signing{})
	s.sign(t, byOther, signing{by: &s.other, name: byOther.Repository})
	s.refused(t, prod, unsigned, "unsigned")
	s.refused(t, prod, nameless, "rejected")
	s.refused(t, prod, byOther, "rejected")
	images := []node.Pushed{unsigned, nameless, byOther}
	for _, image := range images {
		s.named(t, image)
	}
	for _, image := range images {
		s.becomes(t, prod, image)
	}
}

// TestDigestIsEnoughWhereTheOperatorSaysSo has the node's setting the other way round, with an exception.
func TestDigestIsEnoughWhereTheOperatorSaysSo(t *testing.T) {
	l := newLab(t)
	no(t, l.daemon.Terminate(t.Context()))
	l.daemon = node.NewDaemon(t, l.Node, node.DaemonConfig{Program: l.program, Settings: map[string]map[string]any{
		"bundles": {"identity": "digest"}, "bundles.namespaces": {legacy: "annotation"},
	}})
	s := &site{lab: l, registry: node.NewRegistry(t, node.RegistryConfig{InProcess: true})}
	nameless := s.push(t, "shop/nameless:v1")
	s.sign(t, nameless, signing{})
	s.runs(t, prod, nameless)
	s.refused(t, legacy, nameless, "rejected")
	// A name is not ignored: who signed for one repository did not sign for another.
	image := s.push(t, "dev/copied:v1")
	s.named(t, image)
	copied := must(s.registry.Push(t.Context(), "shop/copied:v1", s.image(t, "dev/copied:v1")))(t)
	no(t, s.registry.CopyReferrers(t.Context(), image, "shop/copied"))
	s.runs(t, prod, image)
	s.refused(t, prod, copied, "rejected")
}
