package node_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/countersign/countersign/integration/node"
)

func TestPodRunsTheImageItNames(t *testing.T) {
	lab := newLab(t)
	pushed := lab.push(t, "app:v1", "the real one")
	pod, marker := lab.run(t, node.Container{Image: pushed.Reference})
	if marker != "the real one" {
		t.Errorf("the container reports that it runs %q", marker)
	}
	printed, err := pod.Exec(t.Context(), "main", "/witness", "print", "/marker")
	if err != nil || printed != "the real one\n" {
		t.Errorf("a command run in it printed %q, %v", printed, err)
	}
	container, err := lab.CRI.Status(t.Context(), pod.Containers["main"])
	if err != nil {
		t.Fatal(err)
	}
	if container.GetImageId() != pushed.Config.String() {
		t.Errorf("its image is %s, want %s", container.GetImageId(), pushed.Config)
	}
	info, err := lab.Ctr(t.Context(), "containers", "info", "--spec", pod.Containers["main"])
	if err != nil {
		t.Fatal(err)
	}
	if want := `"io.kubernetes.cri.image-name": "` + pushed.Reference + `"`; !strings.Contains(info, want) {
		t.Errorf("containerd does not know what the pod wrote; want %s in %s", want, info)
	}
}

func TestPodNamesItsImage(t *testing.T) {
	lab := newLab(t)
	pushed := lab.push(t, "app:v1", "v1")
	if err := lab.registry.Tag(t.Context(), pushed, "latest"); err != nil {
		t.Fatal(err)
	}
	lab.run(t, node.Container{Image: pushed.Reference})
	for how, written := range map[string]string{
		"by tag":            pushed.Reference,
		"by digest":         pushed.ByDigest(),
		"by both":           pushed.Repository + ":v1@" + pushed.Digest.String(),
		"by neither":        pushed.Repository,
		"by its ID":         pushed.Config.String(),
		"by part of its ID": pushed.Config.String()[:len("sha256:")+12],
	} {
		t.Run(how, func(t *testing.T) {
			if _, marker := lab.run(t, node.Container{Image: written}); marker != "v1" {
				t.Errorf("%s runs %q", written, marker)
			}
		})
	}
}

func TestPodPullsAsItsPolicySays(t *testing.T) {
	lab := newLab(t)
	first := lab.push(t, "app:v1", "first")
	if _, err := lab.RunPod(t.Context(), node.Pod{
		Namespace: "default", Container: node.Container{Image: first.Reference, Pull: node.Never},
	}); err == nil || !strings.Contains(err.Error(), "ErrImageNeverPull") {
		t.Errorf("an image that does not exist and never pulled: %v", err)
	}
	lab.run(t, node.Container{Image: first.Reference})
	lab.push(t, "app:v1", "second")
	for _, step := range []struct {
		how  string
		pull node.PullPolicy
		want string
	}{
		{"never", node.Never, "first"},
		{"if not present", node.IfNotPresent, "first"},
		{"always", node.Always, "second"},
	} {
		if _, marker := lab.run(t, node.Container{Image: first.Reference, Pull: step.pull}); marker != step.want {
			t.Errorf("pulled %s, it runs %q, want %q", step.how, marker, step.want)
		}
	}
}

func TestPodHasInitContainersAndVolumesAndMore(t *testing.T) {
	lab := newLab(t)
	app, data := lab.push(t, "app:v1", "app"), lab.push(t, "data:v1", "data")
	pod, err := lab.RunPod(t.Context(), node.Pod{
		Namespace: "default",
		Init: []node.Container{
			{Name: "first", Image: data.Reference, Command: []string{"/witness", "print", "/marker"}},
		},
		Container: node.Container{
			Image: app.Reference, Command: []string{"/witness", "print", "/data/marker"},
			Volumes: []node.Volume{{Image: data.Reference, Path: "/data"}},
		},
		More: []node.Container{{Name: "sidecar", Image: app.Reference}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if marker, err := pod.Marker(t.Context()); err != nil || marker != "data" {
		t.Errorf("the volume contains %q, %v", marker, err)
	}
	if text, err := pod.Log("first"); err != nil || text != "data\n" {
		t.Errorf("the init container wrote %q, %v", text, err)
	}
	if code, err := lab.CRI.WaitForExit(t.Context(), pod.Containers["main"]); err != nil || code != 0 {
		t.Errorf("the container ended with %d, %v", code, err)
	}
	if pod.Containers["sidecar"] == "" {
		t.Error("the other container does not run")
	}
}

func TestPodStopsAtAnInitContainerThatFails(t *testing.T) {
	lab := newLab(t)
	app := lab.push(t, "app:v1", "app")
	_, err := lab.RunPod(t.Context(), node.Pod{
		Namespace: "default",
		Init:      []node.Container{{Name: "first", Image: app.Reference, Command: []string{"/witness", "nonsense"}}},
		Container: node.Container{Image: app.Reference},
	})
	if err == nil || !strings.Contains(err.Error(), "init container first: exit code 1") {
		t.Errorf("the pod went on: %v", err)
	}
}

func TestRefusalComesAsContainerdSentIt(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
	lab := lab{
		Node:     node.Start(t, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}}),
		registry: registry,
	}
	pushed := lab.push(t, "app:v1", "app")
	_, err := lab.RunPod(t.Context(), node.Pod{
		Namespace: "default", Container: node.Container{Image: pushed.Reference},
	})
	if status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), `required plugin "countersign" not present`) {
		t.Errorf("without the plugin it requires, containerd answers %v", err)
	}
	// The error must be exactly what the kubelet's client receives.
	if !strings.HasPrefix(err.Error(), "rpc error: code = Unknown desc = ") {
		t.Errorf("the error was wrapped: %v", err)
	}
	sandboxes, err := lab.Ctr(t.Context(), "containers", "list", "--quiet")
	if err != nil || strings.TrimSpace(sandboxes) != "" {
		t.Errorf("what failed left sandboxes: %q, %v", sandboxes, err)
	}
}
