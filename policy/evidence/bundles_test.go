package evidence_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

func TestBundlesAreFoundAndAttestationsAreNot(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.list(m,
			p.attach(m, referrer{content: statement(attests, 1), predicate: attests}),
			p.attach(m, referrer{content: statement(signs, 2), predicate: signs}),
			p.attach(m, referrer{content: statement(attests, 3)}),
			p.attach(m, referrer{content: statement(signs, 4)}),
			p.attach(m, referrer{content: []byte("text"), spoil: func(m *ocispec.Manifest) {
				m.ArtifactType, m.Layers[0].MediaType = "application/spdx+json", "application/spdx+json"
			}}),
		)
		got := fetched(p.t, open(p.t, evidence.Config{}), p.named(p.t, "app"), m)
		if got.State != policy.Found || got.Signatures != 0 || got.Bundles != 2 || got.Detail != "" {
			p.t.Fatalf("%+v", got)
		}
		want := []string{string(statement(signs, 2)), string(statement(signs, 4))}
		found := bundlesIn(p.t, got)
		slices.Sort(found)
		if diff := cmp.Diff(want, found); diff != "" {
			p.t.Errorf("bundles (-want +got):\n%s", diff)
		}
	})
}

func TestWithNothingButAttestationsThereIsNone(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.list(m, p.attach(m, referrer{content: statement(attests, 1), predicate: attests}),
			p.attach(m, referrer{content: statement(attests, 2)}))
		got := fetched(p.t, open(p.t, evidence.Config{}), p.named(p.t, "app"), m)
		if got.State != policy.None || got.Detail != "" {
			p.t.Errorf("%+v", got)
		}
	})
}

func TestSignaturesAndBundlesAreKeptBesideEachOther(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.signTwice(m)
		keeper, named := open(p.t, evidence.Config{}), p.named(p.t, "app")
		first := fetched(p.t, keeper, named, m)
		if first.Signatures != 1 || first.Bundles != 1 {
			p.t.Fatalf("%+v", first)
		}
		p.asked()
		if again := fetched(p.t, keeper, named, m); again != first {
			p.t.Errorf("first %+v\nagain %+v", first, again)
		}
		for _, asked := range p.asked() {
			if strings.Contains(asked, "/blobs/") || strings.Contains(asked, "/manifests/sha256:") {
				p.t.Errorf("nothing has changed, and the registry was asked %s", asked)
			}
		}
		p.list(m, p.attach(m, referrer{content: statement(signs, 2), predicate: signs}),
			p.attach(m, referrer{content: statement(signs, 1), predicate: signs}))
		if got := fetched(p.t, keeper, named, m); got.Bundles != 2 || got.Signatures != 1 {
			p.t.Errorf("with another bundle: %+v", got)
		}
	})
}

func TestOlderSpellingsOfABundleAreBundles(t *testing.T) {
	old := "application/vnd.dev.sigstore.bundle+json;version=0.3"
	for name, spoil := range map[string]func(*ocispec.Manifest){
		"the type of version 0.3 and before": func(m *ocispec.Manifest) { m.ArtifactType, m.Layers[0].MediaType = old, old },
		"by the type of the layer only":      func(m *ocispec.Manifest) { m.ArtifactType = "" },
		"by the type of the artifact only":   func(m *ocispec.Manifest) { m.Layers[0].MediaType = "application/json" },
		"by the type of the configuration": func(m *ocispec.Manifest) {
			m.ArtifactType, m.Config.MediaType, m.Layers[0].MediaType = "", bundleType, "application/json"
		},
		"of something that says nothing of its subject": func(m *ocispec.Manifest) { m.Layers[0].Annotations = nil },
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(p pusher) {
				m := manifestOf("image")
				p.list(m, p.attach(m, referrer{content: statement(signs, 1), predicate: signs, spoil: spoil}))
				got := fetched(p.t, open(p.t, evidence.Config{}), p.named(p.t, "app"), m)
				if got.State != policy.Found || got.Bundles != 1 {
					p.t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestWhatIsWrongWithOneReferrerDoesNotSpoilTheOthers(t *testing.T) {
	m := manifestOf("image")
	for name, test := range map[string]struct {
		bad    func(pusher) ocispec.Descriptor
		detail string
	}{
		"a bundle that is no JSON": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: []byte("text"), predicate: signs})
		}, "it is not a Sigstore bundle"},
		"a bundle of 2 GiB": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: statement(signs, 2), spoil: func(m *ocispec.Manifest) {
				m.Layers[0].Size = 2 << 30
			}})
		}, "has 2147483648 bytes"},
		"a bundle that is not there": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: statement(signs, 2), spoil: func(m *ocispec.Manifest) {
				m.Layers[0].Digest = manifestOf("gone")
			}})
		}, "does not have"},
		"a bundle longer than announced": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: statement(signs, 2), spoil: func(m *ocispec.Manifest) { m.Layers[0].Size = 3 }})
		}, "larger than the announced 3 bytes"},
		"a bundle shorter than announced": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: statement(signs, 2), spoil: func(m *ocispec.Manifest) { m.Layers[0].Size++ }})
		}, "were announced"},
		"a manifest that is not there": {func(pusher) ocispec.Descriptor {
			return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifestOf("gone"), Size: 9}
		}, "does not have"},
		"a manifest of 2 GiB": {func(pusher) ocispec.Descriptor {
			return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifestOf("large"), Size: 2 << 30}
		}, "has 2147483648 bytes"},
		"a manifest of something else": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: statement(signs, 2), spoil: func(m *ocispec.Manifest) {
				m.Subject.Digest = manifestOf("another image")
			}})
		}, "refers to"},
		"a manifest of schema 1": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: statement(signs, 2), spoil: func(m *ocispec.Manifest) { m.SchemaVersion = 1 }})
		}, "is not an image manifest"},
		"a layer with a path for a digest": {func(p pusher) ocispec.Descriptor {
			return p.attach(m, referrer{content: statement(signs, 2), spoil: func(m *ocispec.Manifest) {
				m.Layers[0].Digest = "sha256:../../x"
			}})
		}, "a layer has the digest"},
		"a descriptor with a path for a digest": {func(pusher) ocispec.Descriptor {
			return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../../x", Size: 9}
		}, "no usable descriptor"},
		"a descriptor of another algorithm": {func(pusher) ocispec.Descriptor {
			return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "md5:00", Size: 9}
		}, "no usable descriptor"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pusher{testRegistry: newRegistry(t), t: t}
			sound := p.attach(m, referrer{content: statement(signs, 1), predicate: signs})
			list, err := json.Marshal(ocispec.Index{
				Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{test.bad(p), sound, test.bad(p)},
			})
			if err != nil {
				t.Fatal(err)
			}
			p.spoilBy(onlyFor("/referrers/", serveIndex(string(list))))
			got := fetched(t, open(t, evidence.Config{}), p.named(t, "app"), m)
			if got.State != policy.Found || got.Bundles != 1 || !strings.Contains(got.Detail, test.detail) ||
				!strings.Contains(got.Detail, " bundles were left out") {
				t.Fatalf("%+v\nlacks %q", got, test.detail)
			}
			if diff := cmp.Diff([]string{string(statement(signs, 1))}, bundlesIn(t, got)); diff != "" {
				t.Errorf("bundles (-want +got):\n%s", diff)
			}
		})
	}
}

func serveIndex(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		_, _ = w.Write([]byte(body))
	}
}

func TestOfManyBundlesTheNewestCount(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		var list []ocispec.Descriptor
		for i := range 70 {
			// Each is a minute older than the one before.
			created := fmt.Sprintf("2026-01-01T%02d:%02d:00Z", 23-i/60, 59-i%60)
			list = append(list, p.attach(m, referrer{content: statement(signs, i), predicate: signs, created: created}))
		}
		p.list(m, list...)
		got := fetched(p.t, open(p.t, evidence.Config{}), p.named(p.t, "app"), m)
		if got.Bundles != 64 || !strings.Contains(got.Detail, "6 older referrers were not looked at") {
			p.t.Fatalf("%+v", got)
		}
		stored := bundlesIn(p.t, got)
		if stored[63] != string(statement(signs, 0)) || stored[0] != string(statement(signs, 63)) {
			p.t.Error("the stored ones are not the newest, in ascending order")
		}
		if !got.Partial {
			p.t.Error("the others are said to be read")
		}
	})
}

func TestOneBundleThatIsAttachedTwiceIsOne(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.list(m, p.attach(m, referrer{content: statement(signs, 1), created: "2026-01-01T00:00:00Z"}),
			p.attach(m, referrer{content: statement(signs, 1), created: "2026-01-02T00:00:00Z"}))
		if got := fetched(p.t, open(p.t, evidence.Config{}), p.named(p.t, "app"), m); got.Bundles != 1 {
			p.t.Errorf("%+v", got)
		}
	})
}
