package evidence_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	memory "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence"
)

// signatureArtifact is how cosign 3.1.3 types signatures of the old format with --registry-referrers-mode=oci-1-1.
const signatureArtifact = "application/vnd.dev.cosign.artifact.sig.v1+json"

// oldFormat returns a referrer with signatures in the old format, as cosign attaches them: the config has that type
// too.
func (p pusher) oldFormat(signatures ...signature) func(*ocispec.Manifest) {
	return func(manifest *ocispec.Manifest) {
		manifest.ArtifactType, manifest.Config.MediaType = signatureArtifact, signatureArtifact
		manifest.Annotations, manifest.Layers = nil, nil
		for _, s := range signatures {
			layer := p.pushBlob(p.t, simpleSigning, []byte(s.payload))
			layer.Annotations = s.annotations()
			manifest.Layers = append(manifest.Layers, layer)
		}
	}
}

func TestSignaturesOfTheOldFormatAttachedAsReferrersAreFound(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("hardened")
		p.list(m, p.attach(m, referrer{spoil: p.oldFormat(signed(1), signed(2))}))
		got := fetched(p.t, open(p.t, evidence.Config{}), p.named(p.t, "app"), m)
		want := []string{string(signed(1).file(t)), string(signed(2).file(t))}
		if files := filesIn(p.t, got.Directory); !slices.Equal(files, want) || got.Detail != "" {
			t.Errorf("stored %q (%s), want %q", files, got.Detail, want)
		}
	})
}

func TestASignatureUnderTheTagAndAmongTheReferrersIsOne(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("twice")
		p.sign(t, "app", m, signed(1))
		p.list(m, p.attach(m, referrer{spoil: p.oldFormat(signed(1))}),
			p.attach(m, referrer{content: statement(signs, 1), predicate: signs}))
		got := fetched(p.t, open(p.t, evidence.Config{}), p.named(p.t, "app"), m)
		if got.Signatures != 1 || got.Bundles != 1 {
			t.Errorf("%d signatures and %d bundles are stored, want one of each", got.Signatures, got.Bundles)
		}
	})
}

func TestABundleListedAsASignatureOfTheOldFormatIsFound(t *testing.T) {
	p := pusher{testRegistry: newRegistry(t), t: t}
	m := manifestOf("mistyped")
	listed := p.attach(m, referrer{content: statement(signs, 1), predicate: signs})
	listed.ArtifactType, listed.Annotations = signatureArtifact, nil
	p.list(m, listed)
	if got := fetched(t, open(t, evidence.Config{}), p.named(t, "app"), m); got.Bundles != 1 {
		t.Errorf("%d bundles are stored, want one: %s", got.Bundles, got.Detail)
	}
}

func TestAnAPIThatListsNothingDoesNotHideTheFallbackTag(t *testing.T) {
	for sentence, others := range map[string][]ocispec.Descriptor{
		"it lists nothing": {},
		"it lists something that is not a signature": {{
			MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/spdx+json",
			Digest: manifestOf("sbom"), Size: 1,
		}},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(false)), t: t}
			m := manifestOf("older than the API")
			p.list(m, p.attach(m, referrer{content: statement(signs, 1), predicate: signs}))
			body, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": others})
			if err != nil {
				t.Fatal(err)
			}
			p.spoilBy(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.URL.Path, "/referrers/") {
						serveIndex(string(body))(w, r)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			if got := fetched(t, open(t, evidence.Config{}), p.named(t, "app"), m); got.Bundles != 1 {
				t.Errorf("%d bundles are stored, want one: %s", got.Bundles, got.Detail)
			}
		})
	}
}
