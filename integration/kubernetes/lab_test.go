package kubernetes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// lab is a cluster whose kubelet pulls through countersign. In namespace prod, images in the registry's shop must be
// signed by the key, and all others are rejected. In dev, everything is admitted, and so it is by the system policy.
type lab struct {
	*rig.Rig
	cluster *kubernetes.Cluster
}

const (
	prod = "prod"
	dev  = "dev"
)

func newLab(t *testing.T, registry node.RegistryConfig) *lab {
	t.Helper()
	tools := kubernetes.NewTools(t)
	w := rig.NewWorkshop(t)
	if !registry.InProcess {
		registry.Tools = w.Distribution().Tools
	}
	n := node.Start(t, node.Config{RequiredPlugins: []string{"countersign"}, Programs: tools.Directory})
	l := &lab{Rig: w.On(n, node.NewRegistry(t, registry))}
	accept := node.Policy{Default: node.Accept()}
	l.Write(t, "", accept)
	l.Write(t, dev, accept)
	shop := map[string]node.Requirement{l.Registry.Host + "/shop": node.Cosign(l.Key.Public)}
	l.Write(t, prod, node.Policy{Scopes: shop})
	socket := n.Path("cri.sock")
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{
		Settings:     map[string]map[string]any{"cri_proxy": {"socket": socket}},
		ImageService: listen(t, socket),
	})
	l.Start(t)
	l.cluster = kubernetes.Start(t, kubernetes.Config{Node: n, Tools: tools, ImageService: socket})
	rig.OK(t, l.cluster.Apply(t.Context(), kubernetes.Namespace(prod), kubernetes.Namespace(dev)))
	return l
}

// signed pushes an image and signs it with the key.
func (l *lab) signed(t *testing.T, name string) node.Pushed {
	t.Helper()
	pushed := l.Push(t, name)
	rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{
		Image: pushed, Key: l.Key, DockerConfig: l.Registry.DockerConfig(),
		Annotations: map[string]string{"docker-reference": pushed.Repository},
	}))
	return pushed
}

// run creates a pod, and returns its name.
func (l *lab) run(t *testing.T, namespace string, image node.Pushed, spec kubernetes.Object) (name string) {
	t.Helper()
	name = fmt.Sprintf("pod-%d", l.Number())
	rig.OK(t, l.cluster.Apply(t.Context(), kubernetes.Pod(namespace, name, image.Reference, spec)))
	t.Cleanup(func() {
		_, _ = l.cluster.Kubectl(context.Background(), "-n", namespace, "delete", "pod", name, "--force", "--wait=false")
	})
	return name
}

// wantRunning waits until a pod runs.
func (l *lab) wantRunning(t *testing.T, namespace, pod string) {
	t.Helper()
	l.await(t, namespace, pod, "run", l.cluster.Runs(namespace, pod))
}

// await waits for a condition, and prints the pod's events if it does not come.
func (l *lab) await(t *testing.T, namespace, pod, what string, condition func(context.Context) error) {
	t.Helper()
	if err := node.Until(t.Context(), fmt.Sprintf("pod %s in %s to %s", pod, namespace, what), condition); err != nil {
		events, _ := l.cluster.Events(t.Context(), namespace, pod)
		t.Fatalf("%v\nevents:\n%s", err, strings.Join(events, "\n"))
	}
}

// wantStatus waits until kubectl shows a pod with one of several statuses and a message that contains
// a text, and returns the status.
func (l *lab) wantStatus(t *testing.T, namespace, pod, text string, statuses ...string) (status string) {
	t.Helper()
	l.await(t, namespace, pod, "be "+strings.Join(statuses, " or "), func(ctx context.Context) error {
		shown, err := l.cluster.Show(ctx, namespace, pod)
		if err != nil {
			return err
		}
		status = shown.Status
		if slices.Contains(statuses, status) && strings.Contains(fmt.Sprint(shown.Messages), text) {
			return nil
		}
		return fmt.Errorf("it is %s: %q", shown.Status, shown.Messages)
	})
	return status
}
