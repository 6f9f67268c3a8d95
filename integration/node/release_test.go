package node_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// version returns the version that containerd reports.
func version(t *testing.T, n *node.Node) string {
	t.Helper()
	answer, err := n.CRI.Runtime.Version(t.Context(), &cri.VersionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetRuntimeVersion()
}

// TestReleases upgrades a node through all releases of containerd and back: a container that ran before goes on
// running, and others are created of the images that are there.
func TestReleases(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	pushed := push(t, tools, registry, "app:v1", "v1")
	lab := lab{Node: node.Start(t, node.Config{Tools: tools, Containerd: node.Containerd22}), registry: registry}
	pod, _ := lab.run(t, node.Container{Image: pushed.Reference})
	steps := []struct {
		release node.Release
		version string
	}{
		{node.Containerd22, "2.2.9"},
		{node.Containerd23, "2.3.7"},
		{node.Containerd24, "2.4.2"},
		{node.Containerd23, "2.3.7"},
		{node.Containerd22, "2.2.9"},
	}
	for i, step := range steps {
		if i > 0 {
			if err := lab.ReplaceContainerd(t.Context(), step.release); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.TrimPrefix(version(t, lab.Node), "v"); !strings.HasPrefix(got, step.version) {
			t.Errorf("the node runs containerd %s; want %s", got, step.version)
		}
		if lab.Release() != step.release {
			t.Errorf("the node calls its release %s; want %s", lab.Release(), step.release)
		}
		printed, err := pod.Exec(t.Context(), "main", "/witness", "print", "/marker")
		if err != nil || printed != "v1\n" {
			t.Errorf("with containerd %s the container that ran before prints %q, %v", step.version, printed, err)
		}
		if _, marker := lab.run(t, node.Container{Image: pushed.Reference, Pull: node.Never}); marker != "v1" {
			t.Errorf("with containerd %s a new container runs %q", step.version, marker)
		}
	}
}

func TestReleaseOfANode(t *testing.T) {
	tools := node.NewTools(t)
	for name, test := range map[string]struct {
		variable   string
		configured node.Release
		want       node.Release
		err        string
	}{
		"the newest":                      {"", "", node.Containerd24, ""},
		"the environment names one":       {"2.3", "", node.Containerd23, ""},
		"the test names one":              {"2.3", node.Containerd24, node.Containerd24, ""},
		"the environment names another":   {"1.7", "", "", `no module pins containerd "1.7": [2.2 2.3 2.4] are there`},
		"the environment names a version": {"2.3.7", "", "", `no module pins containerd "2.3.7"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("COUNTERSIGN_CONTAINERD", test.variable)
			n, err := node.Boot(t.Context(), node.Config{Tools: tools, Containerd: test.configured})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, n.Release()); diff != "" {
				t.Errorf("the release (-want +got):\n%s", diff)
			}
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
