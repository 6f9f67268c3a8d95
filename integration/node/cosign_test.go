package node_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
)

func key(t *testing.T, tools *node.Tools) node.Key {
	t.Helper()
	key, err := tools.GenerateKey(t.Context(), t.TempDir(), "cosign")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCosignAttachesSignatures(t *testing.T) {
	tools := node.NewTools(t)
	for how, test := range map[string]struct {
		registry node.RegistryConfig
		old      bool
		tag      func(node.Pushed) string
	}{
		"old format, by the .sig tag": {
			registry: node.RegistryConfig{Tools: tools}, old: true,
			tag: func(p node.Pushed) string { return node.SignatureTag(p.Digest) },
		},
		"old format, by the .sig tag, with credentials": {
			registry: node.RegistryConfig{Tools: tools, Username: "ann", Password: "secret"}, old: true,
			tag: func(p node.Pushed) string { return node.SignatureTag(p.Digest) },
		},
		"new format, by the fallback tag where there is no referrers API": {
			registry: node.RegistryConfig{Tools: tools},
			tag:      func(p node.Pushed) string { return strings.TrimSuffix(node.SignatureTag(p.Digest), ".sig") },
		},
	} {
		t.Run(how, func(t *testing.T) {
			registry := node.NewRegistry(t, test.registry)
			pushed := push(t, tools, registry, "app:v1", "v1")
			if err := tools.Sign(t.Context(), node.Signing{
				Image: pushed, Key: key(t, tools), OldFormat: test.old, DockerConfig: registry.DockerConfig(),
			}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := registry.Manifest(t.Context(), "app:"+test.tag(pushed)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCosignAttachesBundlesAsReferrers(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	pushed := push(t, tools, registry, "app:v1", "v1")
	if err := tools.Sign(t.Context(), node.Signing{Image: pushed, Key: key(t, tools)}); err != nil {
		t.Fatal(err)
	}
	referrers := "http://" + registry.Host + "/v2/app/referrers/" + pushed.Digest.String()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, referrers, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var index v1.IndexManifest
	if err := json.NewDecoder(response.Body).Decode(&index); err != nil {
		t.Fatal(err)
	}
	// This registry reports the media type of the config as the artifact type.
	const statement = "https://sigstore.dev/cosign/sign/v1"
	if len(index.Manifests) != 1 || index.Manifests[0].Annotations["dev.sigstore.bundle.predicateType"] != statement {
		t.Errorf("the image's referrers are %+v, want one that signs", index.Manifests)
	}
}

// payloads returns the signed payloads of a manifest in the old format.
func payloads(t *testing.T, registry *node.Registry, repository string, manifest digest.Digest) []string {
	t.Helper()
	contents, _, err := registry.Manifest(t.Context(), repository+":"+node.SignatureTag(manifest))
	if err != nil {
		t.Fatal(err)
	}
	var signatures v1.Manifest
	if err := json.Unmarshal(contents, &signatures); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, layer := range signatures.Layers {
		payload, err := registry.Blob(t.Context(), repository, digest.Digest(layer.Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, string(payload))
	}
	return found
}

func TestCosignSignsWhatItIsTold(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	child := image(t, tools, "v1")
	index, err := registry.PushIndex(t.Context(), "app:v1", node.Index(node.Child{Manifest: child}))
	if err != nil {
		t.Fatal(err)
	}
	if err := tools.Sign(t.Context(), node.Signing{
		Image: index, Key: key(t, tools), OldFormat: true, Recursive: true, Identity: "registry.example/app",
		Annotations: map[string]string{"commit": "c0ffee"},
	}); err != nil {
		t.Fatal(err)
	}
	hash, err := child.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, manifest := range []digest.Digest{index.Digest, digest.Digest(hash.String())} {
		signed := payloads(t, registry, "app", manifest)
		if len(signed) != 1 {
			t.Fatalf("%s has %d signatures, want one", manifest, len(signed))
		}
		for _, want := range []string{
			`"docker-reference":"registry.example/app"`, `"docker-manifest-digest":"` + manifest.String() + `"`,
			`"commit":"c0ffee"`,
		} {
			if !strings.Contains(signed[0], want) {
				t.Errorf("what is signed of %s lacks %s: %s", manifest, want, signed[0])
			}
		}
	}
}
