package evidence_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
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
			if got.State != policy.Failed || !strings.Contains(got.Detail, "the maximum is 131072") {
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
	registries := fetch.New(fetch.Config{})
	var err error
	allocated := allocatedBy(func() {
		_, err = registries.Image(t.Context(), r.named(t, "app"), digest.FromString(raw))
	})
	if err == nil || !strings.Contains(err.Error(), "the maximum is 131072") {
		t.Errorf("%v", err)
	}
	if allocated > 100<<20 {
		t.Errorf("it took %d MiB", allocated>>20)
	}
}

// TestWhatManifestsOfReferrersHoldIsRememberedInLittleRoom: four thousand of them are remembered, of 256 KiB each.
func TestWhatManifestsOfReferrersHoldIsRememberedInLittleRoom(t *testing.T) {
	image := manifestOf("image")
	for name, test := range map[string]struct {
		spoil      func(*ocispec.Manifest)
		remembered bool
	}{
		"as cosign makes them": {nil, true},
		"of many bundles": {func(m *ocispec.Manifest) {
			for len(m.Layers) < 64 {
				m.Layers = append(m.Layers, m.Layers[0])
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := pusher{testRegistry: newRegistry(t), t: t}
			of := p.attach(image, referrer{content: statement(signs, 1), predicate: signs, spoil: test.spoil})
			p.list(image, of)
			registries := fetch.New(fetch.Config{})
			fetched(t, open(t, evidence.Config{Fetcher: registries}), p.named(t, "app"), image)
			p.asked()
			fetched(t, open(t, evidence.Config{Fetcher: registries}), p.named(t, "app"), image)
			again := slices.Contains(p.asked(), "GET /v2/app/manifests/"+of.Digest.String())
			if again == test.remembered {
				t.Errorf("it is read again: %v", again)
			}
		})
	}
}
