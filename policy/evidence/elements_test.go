package evidence_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

// allocatedBy returns how much work allocates, in bytes.
func allocatedBy(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// crowded returns a document of almost 4 MiB that consists of elements.
func crowded(list, element string) string {
	elements := strings.Repeat(element+",", (registry.MaxManifest-256)/(len(element)+1))
	return fmt.Sprintf(`{"schemaVersion":2,%q:[%s%s]}`, list, elements, element)
}

// TestDocumentsOfNothingButElementsTakeLittle: parsed, each of these takes more than 250 MiB, and eight may be at
// once.
func TestDocumentsOfNothingButElementsTakeLittle(t *testing.T) {
	for name, spoil := range map[string]func(http.Handler) http.Handler{
		"a tag's manifest":        serving(crowded("layers", "{}")),
		"a list of referrers":     onlyFor("/referrers/", serveIndex(crowded("manifests", "0"))),
		"a list of empty objects": onlyFor("/referrers/", serveIndex(crowded("manifests", "{}"))),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.spoilBy(spoil)
			keeper := open(t, evidence.Config{})
			var got policy.Evidence
			allocated := allocatedBy(func() { got = fetched(t, keeper, r.named(t, "app"), manifestOf("image")) })
			if got.State != policy.Failed || !strings.Contains(got.Detail, "more than the 131072 that are read") {
				t.Errorf("%+v", got)
			}
			if allocated > 100<<20 {
				t.Errorf("it took %d MiB", allocated>>20)
			}
		})
	}
}

// TestAnImageOfNothingButElementsIsNotParsed: containerd's choice of a platform parses what it is given.
func TestAnImageOfNothingButElementsIsNotParsed(t *testing.T) {
	raw := crowded("manifests", "{}")
	r := newRegistry(t)
	r.spoilBy(onlyFor("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		w.Header().Set("Docker-Content-Digest", digest.FromString(raw).String())
		w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
		_, _ = w.Write([]byte(raw))
	}))
	registries := evidence.NewFetcher(evidence.FetcherConfig{})
	var err error
	allocated := allocatedBy(func() {
		_, err = registries.Image(t.Context(), r.named(t, "app"), digest.FromString(raw))
	})
	if err == nil || !strings.Contains(err.Error(), "more than the 131072 that are read") {
		t.Errorf("%v", err)
	}
	if allocated > 100<<20 {
		t.Errorf("it took %d MiB", allocated>>20)
	}
}

// TestOfAReferrerLittleIsHeld: a list can have 32 pages of 4 MiB, all of which are held until the list is complete.
func TestOfAReferrerLittleIsHeld(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	raw, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{{
		MediaType: ocispec.MediaTypeImageManifest, Digest: manifestOf("bundle"), Size: 9, URLs: []string{long},
		ArtifactType: "application/vnd.dev.sigstore.bundle" + long, Data: []byte(long),
		Annotations: map[string]string{"x": long, ocispec.AnnotationCreated: long},
		Platform:    &ocispec.Platform{OS: long},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	raw = append([]byte(`{"schemaVersion":2,`), strings.Replace(string(raw[1:]), `"schemaVersion":0,`, "", 1)...)
	held, err := evidence.HeldOfReferrers(raw)
	if err != nil || held == 0 || held > 1024 {
		t.Errorf("%d bytes are held, %v", held, err)
	}
}

// TestWhatManifestsOfReferrersHoldIsRememberedInLittleRoom: four thousand of them are remembered, of 256 KiB each.
func TestWhatManifestsOfReferrersHoldIsRememberedInLittleRoom(t *testing.T) {
	image := manifestOf("image")
	for name, test := range map[string]struct {
		spoil      func(*ocispec.Manifest)
		remembered int
	}{
		"as cosign makes them": {nil, 1},
		"of many bundles": {func(m *ocispec.Manifest) {
			for len(m.Layers) < 64 {
				m.Layers = append(m.Layers, m.Layers[0])
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := pusher{testRegistry: newRegistry(t), t: t}
			p.list(image, p.attach(image, referrer{content: statement(signs, 1), predicate: signs, spoil: test.spoil}))
			registries := evidence.NewFetcher(evidence.FetcherConfig{})
			fetched(t, open(t, evidence.Config{Fetcher: registries}), p.named(t, "app"), image)
			if got := evidence.RememberedReferrers(registries); got != test.remembered {
				t.Errorf("%d are remembered, want %d", got, test.remembered)
			}
		})
	}
}
