package kubernetes_test

import (
	"context"
	"fmt"
	"os"
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
	tools   *kubernetes.Tools
}

const (
	prod = "prod"
	dev  = "dev"
)

// labConfig configures a lab. The zero value has a registry without authentication, and the default containerd.
type labConfig struct {
	Containerd node.Release
	Registry   node.RegistryConfig
	// Controllers are those of kube-controller-manager that run.
	Controllers []string
	// Audited is a namespace in audit mode.
	Audited string
	// Cluster is the daemon's [policy] cluster, relative to the node's directory.
	Cluster string
	// RBAC has the API server authorise by roles.
	RBAC bool
}

// release is the release of containerd that a test runs on. Tests on different releases run at once, because most of
// the time is the kubelet's waiting.
type release node.Release

// releases returns those that the kubelet is tested with, or the one that the environment names.
func releases() []release {
	if os.Getenv("COUNTERSIGN_CONTAINERD") != "" {
		return []release{release(node.DefaultRelease())}
	}
	return []release{release(node.Containerd23), release(node.Containerd24)}
}

func (on release) name() string { return "containerd " + string(on) }

// newLab boots a node and a cluster.
func newLab(t *testing.T, config labConfig) *lab {
	t.Helper()
	l := prepareLab(t, config)
	l.boot(t, kubernetes.Config{Controllers: config.Controllers, RBAC: config.RBAC})
	return l
}

// prepareLab boots a node. The test boots the cluster.
func prepareLab(t *testing.T, config labConfig) *lab {
	t.Helper()
	tools := kubernetes.NewTools(t)
	w := rig.NewWorkshop(t)
	if !config.Registry.InProcess {
		config.Registry.Tools = w.Distribution().Tools
	}
	n := node.Start(t, node.Config{
		Containerd: config.Containerd, RequiredPlugins: []string{"countersign"}, Programs: tools.Directory,
	})
	l := &lab{Rig: w.On(n, node.NewRegistry(t, config.Registry)), tools: tools}
	accept := node.Policy{Default: node.Accept()}
	l.Write(t, "", accept)
	l.Write(t, dev, accept)
	l.Write(t, prod, node.Policy{Scopes: l.shop(l.Registry)})
	socket := n.Path("cri.sock")
	settings := map[string]map[string]any{"cri_proxy": {"socket": socket}}
	if config.Audited != "" {
		settings["enforce.namespaces"] = map[string]any{config.Audited: "audit"}
	}
	if config.Cluster != "" {
		settings["policy"] = map[string]any{"cluster": n.Path(config.Cluster)}
	}
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{Settings: settings, ImageService: listen(t, socket)})
	l.Start(t)
	return l
}

// boot boots the cluster.
func (l *lab) boot(t *testing.T, config kubernetes.Config) {
	t.Helper()
	config.Node, config.Tools, config.ImageService = l.Node, l.tools, l.Path("cri.sock")
	l.cluster = kubernetes.Start(t, config)
	rig.OK(t, l.cluster.Apply(t.Context(), kubernetes.Namespace(prod), kubernetes.Namespace(dev)))
}

// shop returns the scopes of registries whose images in shop must be signed by the key.
func (l *lab) shop(registries ...*node.Registry) map[string]node.Requirement {
	scopes := map[string]node.Requirement{}
	for _, registry := range registries {
		scopes[registry.Host+"/shop"] = node.Cosign(l.Key.Public)
	}
	return scopes
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
