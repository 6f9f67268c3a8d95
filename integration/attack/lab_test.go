package attack_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// The namespaces: strict and crowd require a signature by the key for every image, and lax accepts everything.
const (
	strict = "tenant-strict"
	lax    = "tenant-lax"
	crowd  = "tenant-crowd"
)

// password is for the node only; no output may contain it.
const password = "hunter2-of-the-node"

// lab is the guarded node, the bare node and their registry.
type lab struct {
	*node.Node
	bare     *node.Node
	daemon   *node.Daemon
	registry *node.Registry
	keys     string
	key      node.Key
	refusals *refusals
	pods     atomic.Int64
}

func newLab(t *testing.T) *lab {
	t.Helper()
	tools := node.NewTools(t)
	l := &lab{
		registry: node.NewRegistry(t, node.RegistryConfig{Tools: tools}),
		bare:     node.Start(t, node.Config{Tools: tools}),
		Node:     node.Start(t, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}}),
		keys:     t.TempDir(),
		refusals: &refusals{},
	}
	l.key = must(tools.GenerateKey(t.Context(), l.keys, "operator"))(t)
	auth := base64.StdEncoding.EncodeToString([]byte("node:" + password))
	credentials := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, l.registry.Host, auth)
	if err := os.WriteFile(l.AuthFile(), []byte(credentials), 0o600); err != nil {
		t.Fatal(err)
	}
	signed := node.Policy{Default: node.Cosign(l.key.Public)}
	l.policies(t, map[string]string{
		"": node.Policy{}.JSON(), strict: signed.JSON(), crowd: signed.JSON(),
		lax: node.Policy{Default: node.Accept()}.JSON(),
	})
	program := must(tools.BuildProgram(t.Context(), "./plugin/countersign", t.TempDir(), false))(t)
	l.daemon = node.NewDaemon(t, l.Node, node.DaemonConfig{Program: program})
	return l
}

// byRelease returns what is expected if containerd reports the images of containers, or else what is expected if
// countersign finds them by their layers: then each image of the pod's repository counts that can have them.
func byRelease[T any](l *lab, reported, layers T) T {
	if l.Node.Release().ImagesReported() {
		return reported
	}
	return layers
}

func (l *lab) policies(t *testing.T, documents map[string]string) {
	t.Helper()
	for namespace, document := range documents {
		if err := l.WritePolicy(namespace, document); err != nil {
			t.Fatal(err)
		}
	}
}

// must returns a result, or ends the test if there is an error.
func must[T any](result T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
}

func (l *lab) image(t *testing.T, marker string) v1.Image {
	t.Helper()
	return must(l.Tools.Image(marker))(t)
}

// elsewhere returns an image for a platform that no node pulls.
func (l *lab) elsewhere(t *testing.T) node.Child {
	t.Helper()
	platform := v1.Platform{OS: "linux", Architecture: "s390x"}
	return node.Child{Manifest: must(l.Tools.ImageFor("elsewhere", platform))(t), Platform: &platform}
}

func (l *lab) push(t *testing.T, name string, image v1.Image) node.Pushed {
	t.Helper()
	return must(l.registry.Push(t.Context(), name, image))(t)
}

func (l *lab) pushIndex(t *testing.T, name string, index v1.ImageIndex) node.Pushed {
	t.Helper()
	return must(l.registry.PushIndex(t.Context(), name, index))(t)
}

func (l *lab) sign(t *testing.T, pushed node.Pushed) {
	t.Helper()
	err := l.Tools.Sign(t.Context(), node.Signing{Image: pushed, Key: l.key, OldFormat: true})
	if err != nil {
		t.Fatal(err)
	}
}

// signed pushes an image and signs it.
func (l *lab) signed(t *testing.T, name, marker string) (v1.Image, node.Pushed) {
	t.Helper()
	image := l.image(t, marker)
	pushed := l.push(t, name, image)
	l.sign(t, pushed)
	return image, pushed
}

func pull(t *testing.T, n *node.Node, reference string) {
	t.Helper()
	if _, err := n.CRI.PullImage(t.Context(), reference, nil, nil); err != nil {
		t.Fatalf("pulling %s: %v", reference, err)
	}
}

func (l *lab) pod(namespace string, container node.Container) node.Pod {
	name := fmt.Sprintf("pod-%d", l.pods.Add(1))
	return node.Pod{Namespace: namespace, Name: name, Container: container}
}

// begin runs a pod on a node, and removes it when the test ends.
func (l *lab) begin(t *testing.T, n *node.Node, namespace string, container node.Container) *node.RunningPod {
	t.Helper()
	pod, err := n.RunPodUntil(t.Context(), l.pod(namespace, container))
	if err != nil {
		t.Fatalf("%s in %s should run: %v", container.Image, namespace, err)
	}
	t.Cleanup(func() {
		if err := pod.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pod
}

// runs runs a pod and expects a root filesystem with that marker.
func (l *lab) runs(t *testing.T, n *node.Node, namespace, image, marker string) {
	t.Helper()
	pod := l.begin(t, n, namespace, node.Container{Image: image})
	if got, err := pod.Marker(t.Context()); err != nil || got != marker {
		t.Errorf("%s in %s runs %q, %v; want %q", image, namespace, got, err, marker)
	}
}

// refused runs a pod that countersign must refuse for that reason, and returns the record in the audit log.
func (l *lab) refused(t *testing.T, namespace string, container node.Container, reason string) node.Decision {
	t.Helper()
	pod := l.pod(namespace, container)
	running, err := l.RunPodUntil(t.Context(), pod)
	if err == nil {
		t.Errorf("%s in %s runs, and should be refused (%s)", container.Image, namespace, reason)
		if err := running.Remove(t.Context()); err != nil {
			t.Error(err)
		}
		return node.Decision{}
	}
	wrote := []string{container.Image}
	for _, volume := range container.Volumes {
		wrote = append(wrote, volume.Image, volume.Path)
	}
	return l.recorded(t, refusal{namespace, pod.Name, wrote, err.Error()}, container.Image, reason)
}

// recorded collects a refusal, and checks that its text and the audit log have that reason.
func (l *lab) recorded(t *testing.T, refusal refusal, reference, reason string) node.Decision {
	t.Helper()
	l.refusals.add(refusal)
	if !strings.Contains(refusal.text, prefix) || !strings.HasSuffix(refusal.text, " ("+reason+")") {
		t.Errorf("%s in %s should be refused (%s), and is: %s", reference, refusal.namespace, reason, refusal.text)
		return node.Decision{}
	}
	decision, err := l.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == refusal.pod && d.Reason == reason && d.Reference == reference
	})
	if err != nil {
		t.Errorf("the audit log lacks the refusal of %s in %s (%s): %v", reference, refusal.namespace, reason, err)
		return decision
	}
	if decision.Outcome != "deny" || decision.Namespace != refusal.namespace || decision.Detail == "" {
		t.Errorf("the audit log says of %s in %s: %v", reference, refusal.namespace, decision.Record)
	}
	return decision
}

// create creates a container with the test's own request, and retries while the verdict is pending.
func (l *lab) create(t *testing.T, request *cri.CreateContainerRequest) (string, error) {
	t.Helper()
	var id string
	err := retry(t, func() (bool, error) {
		created, err := l.CRI.Runtime.CreateContainer(t.Context(), request)
		id = created.GetContainerId()
		return err == nil || !strings.HasSuffix(err.Error(), "(pending)"), err
	})
	return id, err
}

// retry repeats an operation until it succeeds, for at most a minute, and returns its last error.
func retry(t *testing.T, attempt func() (done bool, err error)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		done, err := attempt()
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-again.C:
		}
	}
}
