package node_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// kinds are the two kinds of registry, each with basic authentication.
func kinds(tools *node.Tools) map[string]node.RegistryConfig {
	return map[string]node.RegistryConfig{
		"distribution":         {Tools: tools, Username: "ann", Password: "secret"},
		"go-containerregistry": {InProcess: true, Username: "ann", Password: "secret"},
	}
}

func TestRegistryKeepsPortAndStorageWhileStopped(t *testing.T) {
	tools := node.NewTools(t)
	for kind, config := range kinds(tools) {
		t.Run(kind, func(t *testing.T) {
			registry := node.NewRegistry(t, config)
			pushed := push(t, tools, registry, "app:v1", "v1")
			if err := registry.Stop(); err != nil {
				t.Fatal(err)
			}
			if _, _, err := registry.Manifest(t.Context(), "app:v1"); err == nil {
				t.Error("a stopped registry answers")
			}
			if err := registry.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, digest, err := registry.Manifest(t.Context(), "app:v1"); err != nil || digest != pushed.Digest {
				t.Errorf("after a start it has %s, %v; want %s", digest, err, pushed.Digest)
			}
		})
	}
}

func TestRegistryAsksForCredentials(t *testing.T) {
	tools := node.NewTools(t)
	n := node.Start(t, node.Config{Tools: tools})
	for kind, config := range kinds(tools) {
		t.Run(kind, func(t *testing.T) {
			registry := node.NewRegistry(t, config)
			pushed := push(t, tools, registry, "app:v1", "v1")
			pod := node.Pod{Namespace: "default", Container: node.Container{Image: pushed.Reference, Pull: node.Always}}
			if _, err := n.RunPod(t.Context(), pod); err == nil {
				t.Error("it served an image to someone without credentials")
			}
			pod.Auth = &cri.AuthConfig{Username: "ann", Password: "secret"}
			if _, err := n.RunPod(t.Context(), pod); err != nil {
				t.Errorf("with credentials: %v", err)
			}
			for _, status := range []int{http.StatusUnauthorized, http.StatusOK} {
				if !asked(t, registry, "/v2/app/manifests/v1", status) {
					t.Errorf("its log does not show that it answered containerd with %d", status)
				}
			}
		})
	}
}

// asked reports whether containerd sent a registry a HEAD request for a resource, and received that status.
func asked(t *testing.T, registry *node.Registry, path string, status int) bool {
	t.Helper()
	requests, err := registry.Requests()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(requests, func(r node.Request) bool {
		return r.Method == http.MethodHead && r.Path == path && r.Status == status &&
			strings.HasPrefix(r.UserAgent, "containerd/")
	})
}

func TestRegistryCanBeBroken(t *testing.T) {
	tools := node.NewTools(t)
	broken := false
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if broken {
				http.Error(writer, "I'm a teapot", http.StatusTeapot)
				return
			}
			next.ServeHTTP(writer, request)
		})
	}})
	push(t, tools, registry, "app:v1", "v1")
	broken = true
	if _, _, err := registry.Manifest(t.Context(), "app:v1"); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("a broken registry gives %v", err)
	}
}

func TestPodRunsThePlatformOfAnIndex(t *testing.T) {
	lab := newLab(t)
	here, err := lab.Tools.Image("here")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := lab.Tools.ImageFor("elsewhere", *node.Linux("s390x"))
	if err != nil {
		t.Fatal(err)
	}
	index := node.Index(
		node.Child{Manifest: elsewhere, Platform: node.Linux("s390x")},
		node.Child{Manifest: here, Platform: node.Linux(runtime.GOARCH)},
	)
	pushed, err := lab.registry.PushIndex(t.Context(), "app:v1", index)
	if err != nil {
		t.Fatal(err)
	}
	if _, marker := lab.run(t, node.Container{Image: pushed.Reference}); marker != "here" {
		t.Errorf("an index runs %q", marker)
	}
}

// An index of which other platforms were not copied, and a manifest of five MiB, more than a registry accepts.
func TestNodePullsAnIndexThatListsWhatIsAbsentAndWhatIsHuge(t *testing.T) {
	lab := newLab(t)
	app := lab.push(t, "app", "here")
	huge, err := lab.registry.PushBlob(t.Context(), "app", hugeManifest(t))
	if err != nil {
		t.Fatal(err)
	}
	describe := func(digest, architecture string, size int64) v1.Descriptor {
		hash, err := v1.NewHash(digest)
		if err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Digest: hash, Size: size, Platform: node.Linux(architecture),
		}
	}
	manifest, _, err := lab.registry.Manifest(t.Context(), "app@"+app.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	contents, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{
			describe("sha256:"+strings.Repeat("0", 64), "s390x", 7),
			describe(huge.String(), "riscv64", int64(len(hugeManifest(t)))),
			describe(app.Digest.String(), runtime.GOARCH, int64(len(manifest))),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := lab.registry.PushManifest(t.Context(), "app:v1", string(types.OCIImageIndex), contents)
	if err != nil {
		t.Fatal(err)
	}
	if _, marker := lab.run(t, node.Container{Image: pushed.Reference}); marker != "here" {
		t.Errorf("it runs %q", marker)
	}
}

// hugeManifest returns an image manifest with five MiB of spaces in it.
func hugeManifest(t *testing.T) []byte {
	t.Helper()
	return append([]byte(`{"schemaVersion":2`), append(bytes.Repeat([]byte(" "), 5<<20), '}')...)
}

func TestImagesShareAConfig(t *testing.T) {
	lab := newLab(t)
	plain := image(t, lab.Tools, "v1")
	first, err := lab.registry.Push(t.Context(), "app:v1", plain)
	if err != nil {
		t.Fatal(err)
	}
	second, err := lab.registry.Push(t.Context(), "other:v1", node.Wrap(plain, map[string]string{"wrapped": "yes"}))
	if err != nil {
		t.Fatal(err)
	}
	if first.Config != second.Config || first.Digest == second.Digest {
		t.Errorf("want one config and two manifests: %+v, %+v", first, second)
	}
	if again := lab.push(t, "again:v1", "v1"); again.Digest != first.Digest {
		t.Errorf("images of one marker differ: %s, %s", again.Digest, first.Digest)
	}
}
