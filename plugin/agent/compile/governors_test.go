package compile_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
)

func sortStrings(list []string) { slices.Sort(list) }

// selected returns the scope of a document that containers/image selects for an image.
func selected(t *testing.T, document []byte, image string) string {
	t.Helper()
	var parsed struct {
		Transports map[string]map[string]json.RawMessage `json:"transports"`
	}
	if err := json.Unmarshal(document, &parsed); err != nil {
		t.Fatal(err)
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := docker.NewReference(reference.TagNameOnly(named))
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range append([]string{ref.PolicyConfigurationIdentity()}, ref.PolicyConfigurationNamespaces()...) {
		if _, ok := parsed.Transports["docker"][scope]; ok {
			return scope
		}
	}
	return ""
}

// FuzzANamespaceNeverTakesWhatTheClusterGoverns: whatever scopes both have, an image for which containers/image selects
// the cluster's scope in the document without the namespace's policy has that scope, or a more specific one of the
// cluster, in the document with it.
func FuzzANamespaceNeverTakesWhatTheClusterGoverns(f *testing.F) {
	for _, seed := range [][3]string{
		{"corp.example", "corp.example/a:v1", "corp.example/a:v1"},
		{"*.example", "corp.example:5000/a", "corp.example:5000/a:1"},
		{"corp.example/a", "corp.example", "corp.example/a/b:1"},
		{"docker.io", "docker.io/library/busybox", "busybox"},
		{"localhost", "localhost:5000", "localhost:5000/a"},
		{"*.corp.example", "*.example", "a.corp.example/x"},
		{"corp.example:5000", "corp.example", "corp.example:5000/x"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, governing, own, image string) {
		if !strings.ContainsAny(image, "abcdefghijklmnopqrstuvwxyz") {
			return
		}
		named, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			return
		}
		if _, err := docker.NewReference(reference.TagNameOnly(named)); err != nil {
			return
		}
		all := layers{
			cluster: []v1alpha1.ClusterImagePolicy{
				cluster("c", spec(root(v1alpha1.RejectType), v1alpha1.ImageScope(governing))),
			},
			namespaced: []v1alpha1.ImagePolicy{
				namespaced("n", spec(root(v1alpha1.AcceptType), v1alpha1.ImageScope(own))),
			},
		}
		without, with := all.compile(t)
		if with.JSON == nil {
			return
		}
		if before := selected(t, without.JSON, image); before != "" && selected(t, with.JSON, image) != before {
			t.Errorf("image %q had scope %q and has %q", image, before, selected(t, with.JSON, image))
		}
	})
}
