package node_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func TestContainersOutliveContainerd(t *testing.T) {
	for how, end := range map[string]func(*testing.T, *node.Node){
		"stopped": stop,
		"killed":  func(_ *testing.T, n *node.Node) { n.KillContainerd() },
	} {
		t.Run(how, func(t *testing.T) {
			lab := newLab(t)
			pushed := lab.push(t, "app:v1", "v1")
			pod, _ := lab.run(t, node.Container{Image: pushed.Reference})
			end(t, lab.Node)
			if _, err := lab.CRI.ImageID(t.Context(), pushed.Reference); err == nil {
				t.Error("containerd answers although it was", how)
			}
			if err := lab.StartContainerd(t.Context()); err != nil {
				t.Fatal(err)
			}
			printed, err := pod.Exec(t.Context(), "main", "/witness", "print", "/marker")
			if err != nil || printed != "v1\n" {
				t.Errorf("the container that ran before printed %q, %v", printed, err)
			}
			if _, marker := lab.run(t, node.Container{Image: pushed.Reference, Pull: node.Never}); marker != "v1" {
				t.Errorf("a container created since runs %q", marker)
			}
		})
	}
}

func stop(t *testing.T, n *node.Node) {
	t.Helper()
	if err := n.StopContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// requiring returns a drop-in that requires one plugin.
func requiring(plugin string) string {
	return "version = 3\n[plugins.'io.containerd.nri.v1.nri'.default_validator]\nrequired_plugins = ['" + plugin + "']\n"
}

func TestDropInsHaveTheLastWord(t *testing.T) {
	n := node.Start(t, node.Config{
		RequiredPlugins: []string{"first"},
		DropIns:         map[string]string{"50-vendor.toml": requiring("vendor")},
	})
	required := func() string {
		t.Helper()
		image := image(t, n.Tools, "app")
		registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
		pushed, err := registry.Push(t.Context(), "app:v1", image)
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.RunPod(t.Context(), node.Pod{
			Namespace: "default", Container: node.Container{Image: pushed.Reference},
		})
		if err == nil {
			t.Fatal("a container was created without a plugin that is required")
		}
		return err.Error()
	}
	if got := required(); !strings.Contains(got, `required plugin "vendor" not present`) {
		t.Errorf("a drop-in did not replace the list: %s", got)
	}
	if err := n.DropIn("99-later.toml", requiring("later")); err != nil {
		t.Fatal(err)
	}
	if err := n.RestartContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := required(); !strings.Contains(got, `required plugin "later" not present`) {
		t.Errorf("a drop-in written later did not replace the list: %s", got)
	}
}

func TestContainerdThatCannotStartSaysWhy(t *testing.T) {
	tools := node.NewTools(t)
	_, err := node.Boot(t.Context(), node.Config{
		Tools: tools, DropIns: map[string]string{"50-broken.toml": "version = 3\n[plugins\n"},
	})
	if err == nil || !strings.Contains(err.Error(), "50-broken.toml") {
		t.Errorf("a broken drop-in gives: %v", err)
	}
}

func TestNodesSideBySide(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	open := lab{Node: node.Start(t, node.Config{Tools: tools, DisableNRI: true}), registry: registry}
	shut := lab{
		Node: node.Start(t, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}}), registry: registry,
	}
	pushed := open.push(t, "app:v1", "v1")
	if _, marker := open.run(t, node.Container{Image: pushed.Reference}); marker != "v1" {
		t.Errorf("the one node runs %q", marker)
	}
	pod := node.Pod{Namespace: "default", Container: node.Container{Image: pushed.Reference}}
	if _, err := shut.RunPod(t.Context(), pod); err == nil {
		t.Error("the other node runs a container without the plugin it requires")
	}
	if err := shut.Close(); err != nil {
		t.Fatal(err)
	}
	if _, marker := open.run(t, node.Container{Image: pushed.Reference}); marker != "v1" {
		t.Errorf("once the other node is closed, the one runs %q", marker)
	}
}
