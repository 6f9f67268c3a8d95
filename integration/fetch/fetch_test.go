package fetch_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
)

func TestWhatCosignAttachesIsFound(t *testing.T) {
	eachKind(t, func(s *site) {
		keeper, image := s.open(), s.push("signed")
		if got := s.fetched(keeper, image); got.State != policy.None {
			s.t.Errorf("before the image was signed: %+v", got)
		}
		s.attest(image)
		if got := s.fetched(keeper, image); got.State != policy.None {
			s.t.Errorf("with an attestation: %+v", got)
		}
		s.sign(image, false, false, map[string]string{"docker-reference": "first"})
		if got := s.fetched(keeper, image); got.Bundles != 1 || got.Signatures != 0 || got.Detail != "" {
			s.t.Errorf("with a bundle: %+v", got)
		}
		s.sign(image, true, false, nil)
		s.sign(image, false, false, map[string]string{"docker-reference": "second"})
		got := s.fetched(keeper, image)
		names := strings.Join(s.names(got), " ")
		if got.Bundles != 2 || got.Signatures != 1 || names != "first second" && names != "second first" {
			s.t.Errorf("with two, and one in the old format: %+v of %s", got, names)
		}
		if again := s.fetched(keeper, image); again != got {
			s.t.Errorf("asked again: %+v, and before %+v", again, got)
		}
	})
}

func TestSignaturesOfTheOldFormatAreFoundAsReferrers(t *testing.T) {
	eachKind(t, func(s *site) {
		keeper, image := s.open(), s.push("referred")
		rig.OK(s.t, s.tools.Sign(s.t.Context(), node.Signing{
			Image: image, Key: s.key, Referrer: true, DockerConfig: s.registry.DockerConfig(),
		}))
		if got := s.fetched(keeper, image); got.Signatures != 1 || got.Bundles != 0 || got.Detail != "" {
			s.t.Errorf("%+v", got)
		}
		tag := strings.TrimPrefix(image.Repository, s.registry.Host+"/") + ":" + node.SignatureTag(image.Digest)
		if _, _, err := s.registry.Manifest(s.t.Context(), tag); err == nil {
			s.t.Error("cosign attaches it under the tag too")
		}
	})
}

func TestTheManifestsOfAnIndexAreSignedByThemselves(t *testing.T) {
	eachKind(t, func(s *site) {
		here := platforms.DefaultSpec()
		platform := v1.Platform{OS: here.OS, Architecture: here.Architecture}
		image := rig.Must(s.tools.ImageFor("index", platform))(s.t)
		child := node.Child{Manifest: image, Platform: &platform}
		index := rig.Must(s.registry.PushIndex(s.t.Context(), "team/index:v1", node.Index(child)))(s.t)
		s.sign(index, false, true, nil)
		registries := s.fetcher()
		target, err := registries.Resolve(s.t.Context(), s.named(index.Repository+":v1"))
		if err != nil || target != index.Digest {
			s.t.Fatalf("the tag is %s, %v", target, err)
		}
		found := rig.Must(registries.Image(s.t.Context(), s.named(index.Repository+":v1"), target))(s.t)
		if len(found.Manifests) != 2 || found.Manifests[1].Digest != index.Digest {
			s.t.Fatalf("%+v", found)
		}
		keeper := s.open()
		for _, m := range found.Manifests {
			if got := s.fetched(keeper, node.Pushed{Repository: index.Repository, Digest: m.Digest}); got.Bundles != 1 {
				s.t.Errorf("%+v", got)
			}
		}
	})
}

func TestABundleIsFoundByAPullThroughMirror(t *testing.T) {
	tools := node.NewTools(t)
	key := rig.Must(tools.GenerateKey(t.Context(), t.TempDir(), "operator"))(t)
	for name, stopped := range map[string]bool{"in front of the registry": false, "of a registry that is down": true} {
		t.Run(name, func(t *testing.T) {
			s := &site{t: t, tools: tools, key: key, registry: node.NewRegistry(t, node.RegistryConfig{Tools: tools})}
			mirror := node.NewRegistry(t, node.RegistryConfig{Tools: tools, ProxyOf: s.registry})
			s.reach.HostsDirectory = hosts(t, s.registry, mirror, s.registry)
			image := s.push("mirrored")
			s.sign(image, false, false, nil)
			s.sign(image, true, false, nil)
			if got := s.fetched(s.open(), image); got.Bundles != 1 || got.Signatures != 1 {
				t.Fatalf("%+v", got)
			}
			if !stopped {
				return
			}
			rig.OK(t, s.registry.Stop())
			if got := s.fetched(s.open(), image); got.Bundles != 1 || got.Signatures != 1 {
				t.Errorf("from what the mirror stores: %+v", got)
			}
		})
	}
}

func TestWithoutCredentialsItIsSaidWhereToPutThem(t *testing.T) {
	eachKind(t, func(s *site) {
		if !s.private {
			return
		}
		image := s.push("private")
		rig.OK(s.t, os.Remove(s.reach.AuthFile))
		err := s.open().Fetch(s.t.Context(), image.Digest, s.named(image.Repository))
		want := fmt.Sprintf("add credentials for %s to %s", s.registry.Host, s.reach.AuthFile)
		if err == nil || !strings.Contains(err.Error(), want) {
			s.t.Errorf("%v\nlacks %q", err, want)
		}
	})
}
