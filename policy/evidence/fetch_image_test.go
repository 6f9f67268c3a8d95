package evidence_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/registry"
)

func TestAnImageIsWhatContainerdWouldChooseAndAllThatLeadsToIt(t *testing.T) {
	here := platforms.DefaultSpec()
	other := ocispec.Platform{OS: "linux", Architecture: "s390x"}
	unknown := ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	for sentence, build := range map[string]func(pusher) (top ocispec.Descriptor, want []digest.Digest){
		"a manifest of any platform is itself": func(p pusher) (ocispec.Descriptor, []digest.Digest) {
			m := p.image(&other, "m")
			return m, []digest.Digest{m.Digest}
		},
		"of an index, the one for here": func(p pusher) (ocispec.Descriptor, []digest.Digest) {
			m := p.image(&here, "m")
			top := p.index(on(p.image(&other, "x"), &other), on(m, &here), on(p.image(nil, "att"), &unknown))
			return top, []digest.Digest{m.Digest, top.Digest}
		},
		"without a platform, the one whose configuration is for here": func(p pusher) (ocispec.Descriptor, []digest.Digest) {
			m := p.image(&here, "m")
			top := p.index(on(m, nil))
			return top, []digest.Digest{m.Digest, top.Digest}
		},
		"one with a platform before those without": func(p pusher) (ocispec.Descriptor, []digest.Digest) {
			m := p.image(&here, "m")
			top := p.index(on(p.image(&other, "lies"), nil), on(m, &here))
			return top, []digest.Digest{m.Digest, top.Digest}
		},
		"others with the same configuration count": func(p pusher) (ocispec.Descriptor, []digest.Digest) {
			m, same, also := p.image(&here, "m"), p.image(&here, "same"), p.image(&here, "also")
			top := p.index(on(m, &here), on(same, &here), on(also, nil))
			return top, []digest.Digest{m.Digest, same.Digest, also.Digest, top.Digest}
		},
		"an index within an index": func(p pusher) (ocispec.Descriptor, []digest.Digest) {
			m := p.image(&here, "m")
			inner := p.index(on(m, &here))
			top := p.index(on(inner, nil))
			return top, []digest.Digest{m.Digest, inner.Digest, top.Digest}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			r := newRegistry(t)
			top, want := build(pusher{testRegistry: r, t: t})
			ref := r.named(t, "app")
			got, err := fetch.New(fetch.Config{}).Image(t.Context(), ref, top.Digest)
			if err != nil {
				t.Fatal(err)
			}
			var found []digest.Digest
			for _, m := range got.Manifests {
				found = append(found, m.Digest)
				if digest.FromBytes(m.Bytes) != m.Digest || m.MediaType == "" ||
					!cmp.Equal(m.Repositories, []string{ref.Name()}) {
					t.Errorf("%s has other bytes, or is of another type or repository: %+v", m.Digest, m)
				}
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("manifests (-want +got):\n%s", diff)
			}
			var manifest ocispec.Manifest
			if err := json.Unmarshal(got.Manifests[0].Bytes, &manifest); err != nil || manifest.Config.Digest != got.Config {
				t.Errorf("its configuration is %s, not %s: %v", manifest.Config.Digest, got.Config, err)
			}
			if !cmp.Equal(got.PulledAs, []reference.Named{ref}, cmp.Comparer(sameName)) || !got.Confirmed {
				t.Errorf("originals %v, confirmed %v", got.PulledAs, got.Confirmed)
			}
		})
	}
}

func sameName(a, b reference.Named) bool { return a.String() == b.String() }

func TestAnImageThatCannotBeReadIsAnErrorThatNamesTheCause(t *testing.T) {
	here := platforms.DefaultSpec()
	other := ocispec.Platform{OS: "linux", Architecture: "s390x"}
	for name, test := range map[string]struct {
		build func(pusher) digest.Digest
		want  string
	}{
		"nothing for this node": {func(p pusher) digest.Digest {
			return p.index(on(p.image(&other, "x"), &other)).Digest
		}, "no match for platform"},
		"nothing at all": {func(pusher) digest.Digest { return manifestOf("absent") }, "not found"},
		"no digest":      {func(pusher) digest.Digest { return "sha256:../.." }, "invalid checksum"},
		"an unknown algorithm": {func(pusher) digest.Digest {
			return digest.Digest("md5:" + strings.Repeat("0", 32))
		}, "unsupported digest algorithm"},
		"a child that is not there": {func(p pusher) digest.Digest {
			gone := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifestOf("gone"), Size: 3}
			return p.unchecked(on(gone, &here))
		}, "does not have sha256:"},
		"a child of 2 GiB": {func(p pusher) digest.Digest {
			large := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifestOf("large"), Size: 2 << 30}
			return p.unchecked(on(large, &here))
		}, "has 2147483648 bytes"},
		"a child without a digest": {func(p pusher) digest.Digest {
			return p.unchecked(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: 3})
		}, "no digest that could be verified"},
		"a manifest without a configuration": {func(p pusher) digest.Digest {
			return p.push("", ocispec.MediaTypeImageManifest, map[string]any{"schemaVersion": 2}).Digest
		}, "its config has the digest"},
		"ten indexes in each other": {func(p pusher) digest.Digest {
			top := p.image(&here, "m")
			for range 10 {
				top = p.index(on(top, nil))
			}
			return top.Digest
		}, "4 nested indexes"},
		"a thousand manifests of one platform": {func(p pusher) digest.Digest {
			children := make([]ocispec.Descriptor, 0, 100)
			for i := range 100 {
				children = append(children, on(p.image(&here, fmt.Sprint(i)), &here))
			}
			return p.index(children...).Digest
		}, "more than 64 documents"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			target := test.build(pusher{testRegistry: r, t: t})
			got, err := fetch.New(fetch.Config{}).Image(t.Context(), r.named(t, "app"), target)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%+v, %v\nlacks %q", got, err, test.want)
			}
		})
	}
}

func TestATagIsResolvedByAHeadAndADigestByNothing(t *testing.T) {
	r := newRegistry(t)
	p := pusher{testRegistry: r, t: t}
	here := platforms.DefaultSpec()
	top := p.index(on(p.image(&here, "m"), &here))
	registries := fetch.New(fetch.Config{})
	r.asked()
	got, err := registries.Resolve(t.Context(), r.named(t, "app"))
	if err != nil || got != top.Digest {
		t.Errorf("%s, %v; not %s", got, err, top.Digest)
	}
	if diff := cmp.Diff([]string{"HEAD /v2/app/manifests/v1"}, r.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	by := parse(t, r.host+"/app@"+top.Digest.String())
	if got, err := registries.Resolve(t.Context(), by); err != nil || got != top.Digest || len(r.asked()) > 0 {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := registries.Resolve(t.Context(), parse(t, r.host+"/other:v1")); err == nil {
		t.Errorf("a tag that is not there: %s", got)
	}
}

// A mirror that lacks the image, or lies about it, does not keep us from the registry.
func TestAnImageIsReadFromWhoeverHasIt(t *testing.T) {
	here := platforms.DefaultSpec()
	for name, spoil := range map[string]func(*testRegistry){
		"a mirror without it": func(*testRegistry) {},
		"a mirror that fails": func(r *testRegistry) { r.spoilBy(always(500)) },
		"a mirror with another": func(r *testRegistry) {
			r.spoilBy(onlyFor("/manifests/", serve(`{"schemaVersion":2}`)))
		},
		"a mirror that was stopped": func(r *testRegistry) { r.server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			mirror, r := newRegistry(t), newRegistry(t)
			p := pusher{testRegistry: r, t: t}
			m := p.image(&here, "m")
			spoil(mirror)
			content := fmt.Sprintf("server = %q\n[host.%q]\n", r.server.URL, mirror.server.URL)
			registries := fetch.New(fetch.Config{Registries: registry.New(registry.Config{
				HostsDirectory: hostsFor(t, "registry.example", content),
			})})
			got, err := registries.Image(t.Context(), parse(t, "registry.example/app:v1"), m.Digest)
			if err != nil || got.Manifests[0].Digest != m.Digest {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
