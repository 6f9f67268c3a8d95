package origin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// known is a config in prepared stores, and the expected answer.
type known struct {
	config ocispec.Descriptor
	want   found
}

var imageCases = map[string]func(s *stores) known{
	"a pulled image has its tag, its digest and its ID for names": func(s *stores) known {
		m, c := s.image("app")
		s.name("docker.io/library/app:v1", m)
		s.name("docker.io/library/app@"+m.Digest.String(), m)
		s.name(c.Digest.String(), m)
		return known{c, found{
			Manifests: []string{of(m, "docker.io/library/app")},
			PulledAs:  []string{"docker.io/library/app:v1", "docker.io/library/app@" + m.Digest.String()},
		}}
	},
	"two repositories have one config under two manifests": func(s *stores) known {
		c := s.config("app", "layer")
		a, b := s.manifest(c, "a"), s.manifest(c, "b")
		s.name("a.example/app:v1", a)
		s.name("b.example/app:v1", b)
		return known{c, found{
			Manifests: sorted(of(a, "a.example/app"), of(b, "b.example/app")),
			PulledAs:  []string{"a.example/app:v1", "b.example/app:v1"},
		}}
	},
	"an index lists it, and children that are absent": func(s *stores) known {
		m, c := s.image("app")
		i := s.index(absent("arm"), m, absent("s390x"))
		s.name("example.com/app:v1", i)
		return known{c, found{
			Manifests: sorted(of(m, "example.com/app"), of(i, "example.com/app")),
			PulledAs:  []string{"example.com/app:v1"},
		}}
	},
	"another child of the index is another image": func(s *stores) known {
		m, c := s.image("app")
		other, _ := s.image("other")
		i := s.index(other, m)
		s.name("example.com/app:v1", i)
		s.name("example.com/other:v1", other)
		return known{c, found{
			Manifests: sorted(of(m, "example.com/app"), of(i, "example.com/app")),
			PulledAs:  []string{"example.com/app:v1"},
		}}
	},
	"indexes are nested": func(s *stores) known {
		m, c := s.image("app")
		inner := s.index(m)
		outer := s.index(absent("x"), inner)
		s.name("example.com/outer:v1", outer)
		s.name("example.com/inner:v1", inner)
		return known{c, found{
			Manifests: sorted(
				of(m, "example.com/inner", "example.com/outer"),
				of(inner, "example.com/inner", "example.com/outer"),
				of(outer, "example.com/outer"),
			),
			PulledAs: []string{"example.com/inner:v1", "example.com/outer:v1"},
		}}
	},
	"an index of another repository lists it by a digest that is here": func(s *stores) known {
		// This is what an alias attack looks like: the index selects another image than the one in question.
		signed, c := s.image("signed")
		evil, _ := s.image("evil")
		i := s.index(evil, absent("s390x"), signed)
		s.name("aaa.example/evil:1", i)
		s.name("victim.example/app:v1", signed)
		return known{c, found{
			Manifests: sorted(of(signed, "aaa.example/evil", "victim.example/app"), of(i, "aaa.example/evil")),
			PulledAs:  []string{"aaa.example/evil:1", "victim.example/app:v1"},
		}}
	},
	"names that are not references lead to it as well": func(s *stores) known {
		m, c := s.image("app")
		for _, stored := range []string{
			"example.com/app:v1", "example.com/UPPER:v1", "overlayfs/@/x",
			c.Digest.String(), "sha256:abcdef", c.Digest.Encoded(),
			"sha512:" + digest.SHA512.FromString("x").Encoded(),
		} {
			s.name(stored, m)
		}
		return known{c, found{
			Manifests: []string{of(m, "example.com/app")}, PulledAs: []string{"example.com/app:v1"},
		}}
	},
	"it was imported without a reference": func(s *stores) known {
		m, c := s.image("app")
		s.name(c.Digest.String(), m)
		return known{c, found{Manifests: []string{of(m)}}}
	},
	"names are completed and those that mean the same are one": func(s *stores) known {
		m, c := s.image("app")
		s.name("app", m)
		s.name("docker.io/library/app:latest", m)
		s.name("example.com/app:v1@"+m.Digest.String(), m)
		return known{c, found{
			Manifests: []string{of(m, "docker.io/library/app", "example.com/app")},
			PulledAs:  []string{"docker.io/library/app:latest", "example.com/app@" + m.Digest.String()},
		}}
	},
	"it is in Docker's format": func(s *stores) known {
		c := s.config("app", "layer")
		m := s.document(images.MediaTypeDockerSchema2Manifest, map[string]any{
			"schemaVersion": 2, "mediaType": images.MediaTypeDockerSchema2Manifest, "config": c, "layers": []any{},
		})
		i := s.document(images.MediaTypeDockerSchema2ManifestList, map[string]any{
			"schemaVersion": 2, "mediaType": images.MediaTypeDockerSchema2ManifestList, "manifests": []any{m},
		})
		s.name("example.com/app:v1", i)
		return known{c, found{
			Manifests: []string{
				line(images.MediaTypeDockerSchema2Manifest, m.Digest, "example.com/app"),
				line(images.MediaTypeDockerSchema2ManifestList, i.Digest, "example.com/app"),
			}, PulledAs: []string{"example.com/app:v1"},
		}}
	},
	"an OCI manifest need not say what it is": func(s *stores) known {
		c := s.config("app", "layer")
		m := s.document(ocispec.MediaTypeImageManifest, map[string]any{"config": c, "layers": []any{}})
		s.name("example.com/app:v1", m)
		return known{c, found{Manifests: []string{of(m, "example.com/app")}, PulledAs: []string{"example.com/app:v1"}}}
	},
	"its config is not here": func(s *stores) known {
		m, c := s.image("app")
		s.name("example.com/app:v1", m)
		s.discard(c.Digest)
		return known{c, found{Manifests: []string{of(m, "example.com/app")}, PulledAs: []string{"example.com/app:v1"}}}
	},
	"an index lists what is not followed": func(s *stores) known {
		m, c := s.image("app")
		other := s.manifest(c, "under another type")
		other.MediaType = "application/vnd.example.thing"
		i := s.index(m, other)
		s.name("example.com/app:v1", i)
		return known{c, found{
			Manifests: sorted(of(m, "example.com/app"), of(ocispec.Descriptor{
				MediaType: ocispec.MediaTypeImageIndex, Digest: i.Digest,
			}, "example.com/app")),
			PulledAs: []string{"example.com/app:v1"},
		}}
	},
	"its manifest has 4 MiB": func(s *stores) known {
		c := s.config("app")
		padding := 4<<20 - s.manifest(c, "").Size
		m := s.manifest(c, strings.Repeat("x", int(padding)))
		s.name("example.com/app:v1", m)
		return known{c, found{Manifests: []string{of(m, "example.com/app")}, PulledAs: []string{"example.com/app:v1"}}}
	},
	"an index of thousands lists it": func(s *stores) known {
		m, c := s.image("app")
		i := s.index(append(absentMany(9_999, "x"), m)...)
		s.name("example.com/app:v1", i)
		return known{c, found{
			Manifests: sorted(of(m, "example.com/app"), of(i, "example.com/app")),
			PulledAs:  []string{"example.com/app:v1"},
		}}
	},
	"other images cannot be read": func(s *stores) known {
		m, c := s.image("app")
		huge, _ := s.image("huge")
		s.sizes[huge.Digest] = 300 << 20
		i := s.index(huge, m)
		s.name("example.com/app:v1", i)
		s.name("example.com/long:v1", s.index(append(absentMany(10_001, "x"), m)...))
		s.name("example.com/gone:v1", absent("gone"))
		return known{c, found{
			Manifests: sorted(of(m, "example.com/app"), of(i, "example.com/app")),
			PulledAs:  []string{"example.com/app:v1"},
		}}
	},
}

func TestImage(t *testing.T) {
	for name, build := range imageCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			k := build(s)
			for way, make := range map[string]func() *origin.Containerd{"looked up": s.origin, "cached": s.following} {
				k.want.Confirmed = way == "looked up"
				image, err := make().Image(t.Context(), question(k.config))
				if err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				if image.Config != k.config.Digest {
					t.Errorf("%s: the answer is about %s", way, image.Config)
				}
				same(t, describe(t, image), k.want)
			}
		})
	}
}

// refused is a config in prepared stores, and the expected refusal.
type refused struct {
	config ocispec.Descriptor
	reason policy.Reason
	words  []string
}

var refusedCases = map[string]func(s *stores) refused{
	"nothing is here": func(s *stores) refused {
		c := s.config("app")
		return refused{c, policy.UnknownOrigin, []string{"no image", c.Digest.String()}}
	},
	"another image is here": func(s *stores) refused {
		other, _ := s.image("other")
		s.name("example.com/other:v1", other)
		c := s.config("app")
		return refused{c, policy.UnknownOrigin, []string{c.Digest.String()}}
	},
	"its manifest is here but no name leads to it": func(s *stores) refused {
		_, c := s.image("app")
		return refused{c, policy.UnknownOrigin, nil}
	},
	"its manifest is gone": func(s *stores) refused {
		m, c := s.image("app")
		s.name("example.com/app:v1", m)
		s.discard(m.Digest)
		return refused{c, policy.Unavailable, []string{m.Digest.String(), "is not in containerd's content store"}}
	},
	"its manifest is corrupt": func(s *stores) refused {
		m, c := s.image("app")
		s.name("example.com/app:v1", s.index(m))
		s.corrupt(m.Digest)
		return refused{c, policy.Unavailable, []string{m.Digest.String(), "does not have that digest"}}
	},
	"its manifest has 300 MiB": func(s *stores) refused {
		m, c := s.image("app")
		s.sizes[m.Digest] = 300 << 20
		s.name("example.com/app:v1", s.index(m))
		return refused{c, policy.Unavailable, []string{m.Digest.String(), "314572800"}}
	},
	"its manifest has a byte more than 4 MiB": func(s *stores) refused {
		m, c := s.image("app")
		s.sizes[m.Digest] = 4<<20 + 1
		s.name("example.com/app:v1", m)
		return refused{c, policy.Unavailable, []string{m.Digest.String(), "4194305"}}
	},
	"its manifest has a negative size": func(s *stores) refused {
		m, c := s.image("app")
		s.sizes[m.Digest] = -1
		s.name("example.com/app:v1", m)
		return refused{c, policy.Unavailable, []string{m.Digest.String(), "its size is -1 bytes"}}
	},
	"its index has more than 10,000 descriptors": func(s *stores) refused {
		m, c := s.image("app")
		i := s.index(append(absentMany(10_000, "x"), m)...)
		s.name("example.com/app:v1", i)
		return refused{c, policy.Unavailable, []string{i.Digest.String(), "more than 10000 descriptors"}}
	},
	"its indexes have more than 10,000 descriptors in all": func(s *stores) refused {
		m, c := s.image("app")
		one, two := s.index(absentMany(6_000, "x")...), s.index(absentMany(6_000, "y")...)
		s.name("example.com/app:v1", s.index(one, two, m))
		return refused{c, policy.Unavailable, []string{"more than 10000 descriptors"}}
	},
	"its indexes are nested too deep": func(s *stores) refused {
		m, c := s.image("app")
		for range 9 {
			m = s.index(m)
		}
		s.name("example.com/app:v1", m)
		return refused{c, policy.Unavailable, []string{"nested deeper than 8"}}
	},
	"the image of that ID is named although others fail too": func(s *stores) refused {
		for i := range 20 {
			s.name(fmt.Sprintf("example.com/gone:%d", i), absent(fmt.Sprint(i)))
		}
		m, c := s.image("app")
		s.name(c.Digest.String(), m)
		s.discard(m.Digest)
		return refused{c, policy.Unavailable, []string{m.Digest.String()}}
	},
	"its manifest could be read as an index": func(s *stores) refused {
		c := s.config("app")
		m := s.document(ocispec.MediaTypeImageManifest, map[string]any{"config": c, "manifests": []any{}})
		s.name("example.com/app:v1", m)
		return refused{c, policy.Unavailable, []string{"as a manifest and as an index"}}
	},
	"its manifest has two configs": func(s *stores) refused {
		c := s.config("app")
		raw := fmt.Sprintf(`{"config":{"digest":%q},"config":{"digest":%q}}`, s.config("other").Digest, c.Digest)
		s.name("example.com/app:v1", s.blob(ocispec.MediaTypeImageManifest, []byte(raw)))
		return refused{c, policy.Unavailable, []string{`"config" in more than one`}}
	},
}

func TestImageIsRefused(t *testing.T) {
	for name, build := range refusedCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			r := build(s)
			for way, make := range map[string]func() *origin.Containerd{"looked up": s.origin, "cached": s.following} {
				image, err := make().Image(t.Context(), question(r.config))
				if image != nil {
					t.Errorf("%s: there is an image in addition to the error", way)
				}
				refusal(t, err, r.reason, r.words...)
			}
		})
	}
}
