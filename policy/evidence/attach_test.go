package evidence_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
)

const (
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	signs      = "https://sigstore.dev/cosign/sign/v1"
	attests    = "https://slsa.dev/provenance/v1"
)

// statement returns a bundle of the form of cosign's, about nothing that anybody could verify.
func statement(predicate string, i int) []byte {
	payload := fmt.Appendf(nil, `{"predicateType":%q,"predicate":{"n":%d}}`, predicate, i)
	return fmt.Appendf(nil, `{"mediaType":%q,"dsseEnvelope":{"payload":%q}}`, bundleType,
		base64.StdEncoding.EncodeToString(payload))
}

// referrer is what is attached to an image: by default as cosign 3.1.3 attaches it.
type referrer struct {
	content []byte
	// predicate and created go into annotations, where they are not empty.
	predicate, created string
	// spoil changes the manifest.
	spoil func(*ocispec.Manifest)
}

// attach attaches to a manifest, and returns the descriptor.
func (p pusher) attach(to digest.Digest, what referrer) ocispec.Descriptor {
	p.t.Helper()
	manifest := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: bundleType,
		Config:       p.pushBlob(p.t, ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{p.pushBlob(p.t, bundleType, what.content)},
		Subject:      &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: to, Size: 1},
		Annotations:  map[string]string{"dev.sigstore.bundle.content": "dsse-envelope"},
	}
	if what.predicate != "" {
		manifest.Annotations["dev.sigstore.bundle.predicateType"] = what.predicate
	}
	if what.created != "" {
		manifest.Annotations[ocispec.AnnotationCreated] = what.created
	}
	if what.spoil != nil {
		what.spoil(&manifest)
	}
	of := p.push("", ocispec.MediaTypeImageManifest, manifest)
	of.ArtifactType, of.Annotations = manifest.ArtifactType, manifest.Annotations
	return of
}

// list lists referrers under the fallback tag of a manifest, unless the registry has the API.
func (p pusher) list(to digest.Digest, referrers ...ocispec.Descriptor) {
	p.t.Helper()
	if p.api {
		return
	}
	tag := strings.ReplaceAll(to.String(), ":", "-")
	p.push(tag, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: referrers,
	})
}

// eachWay runs a test with a registry that has the referrers API, and with one that has not.
func eachWay(t *testing.T, test func(p pusher)) {
	t.Helper()
	for sentence, api := range map[string]bool{"by the API": true, "by the fallback tag": false} {
		t.Run(sentence, func(t *testing.T) {
			test(pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(api)), t: t, api: api})
		})
	}
}

// signTwice signs an image in the old format, and by a bundle: each is the first of its kind.
func (p pusher) signTwice(m digest.Digest) {
	p.t.Helper()
	p.sign(p.t, "app", m, signed(1))
	p.list(m, p.attach(m, referrer{content: statement(signs, 1), predicate: signs}))
}

// bundlesIn returns the contents of bundle-1.json, bundle-2.json, … in a directory.
func bundlesIn(t testing.TB, got policy.Evidence) []string {
	t.Helper()
	var contents []string
	for i := range got.Bundles {
		content, err := os.ReadFile(filepath.Join(got.Directory, fmt.Sprintf("bundle-%d.json", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	return contents
}
