package pull_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
)

// prod is a namespace that asks, as the system does, for a signature by the key of what is in the registry's shop, and
// rejects everything else. No namespace is less strict, unless a test makes one.
const prod = "prod"

// workshop is what all labs share: programs, and the key that signs.
type workshop struct {
	tools             *node.Tools
	program, verifier string
	key               node.Key
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	tools := node.NewTools(t)
	directory := t.TempDir()
	return &workshop{
		tools:    tools,
		program:  must(tools.BuildProgram(t.Context(), "./plugin/countersign", directory, false))(t),
		verifier: must(tools.BuildProgram(t.Context(), "./plugin/verifier/countersign-verifier", directory, false))(t),
		key:      must(tools.GenerateKey(t.Context(), directory, "operator"))(t),
	}
}

// lab is a node whose containerd asks a daemon before it pulls, and the registry that it pulls from.
type lab struct {
	*workshop
	*node.Node
	registry *node.Registry
	faults   *faults
	daemon   *node.Daemon
	pods     atomic.Int64
}

// inProcess is a registry with the referrers API, which can be broken.
func (w *workshop) inProcess() node.RegistryConfig { return node.RegistryConfig{InProcess: true} }

// distribution is a registry without the referrers API.
func (w *workshop) distribution() node.RegistryConfig { return node.RegistryConfig{Tools: w.tools} }

// settings are those of the daemon, by table.
type settings = map[string]map[string]any

// newLab boots a node with a daemon that is configured, known to the verifier, and not started yet.
func (w *workshop) newLab(t *testing.T, registry node.RegistryConfig, settings settings) *lab {
	t.Helper()
	l := &lab{workshop: w, faults: &faults{}}
	if registry.InProcess {
		registry.Wrap = l.faults.wrap
	}
	l.registry = node.NewRegistry(t, registry)
	l.Node = node.Start(t, node.Config{Tools: w.tools, RequiredPlugins: []string{"countersign"}})
	l.write(t, "", l.signatures())
	l.write(t, prod, l.signatures())
	l.daemon = l.newDaemon(t, settings)
	no(t, l.InstallVerifier(w.verifier, l.daemon))
	return l
}

// newDaemon configures a daemon that ends with the test.
func (l *lab) newDaemon(t *testing.T, settings settings) *node.Daemon {
	t.Helper()
	daemon := must(l.NewDaemon(t.Context(), node.DaemonConfig{Program: l.program, Settings: settings}))(t)
	t.Cleanup(func() {
		if t.Failed() {
			records, err := daemon.Log("")
			t.Logf("log of countersign: %v", err)
			for _, record := range records[max(0, len(records)-40):] {
				t.Log(record)
			}
		}
		if err := daemon.Terminate(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return daemon
}

func (l *lab) start(t *testing.T) {
	t.Helper()
	no(t, l.daemon.Start())
	no(t, l.daemon.Ready(t.Context()))
}

func (l *lab) signatures() node.Policy {
	return node.Policy{Scopes: map[string]node.Requirement{l.registry.Host + "/shop": node.Cosign(l.key.Public)}}
}

func (l *lab) write(t *testing.T, namespace string, policy node.Policy) {
	t.Helper()
	no(t, l.WritePolicy(namespace, policy.JSON()))
}

// must returns a result, and ends the test where there is an error instead.
func must[T any](result T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		no(t, err)
		return result
	}
}

// no ends the test where there is an error.
func no(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lab) image(t *testing.T, marker string) v1.Image {
	t.Helper()
	return must(l.tools.Image(marker))(t)
}

// push pushes an image whose marker is its name.
func (l *lab) push(t *testing.T, name string) node.Pushed {
	t.Helper()
	return must(l.registry.Push(t.Context(), name, l.image(t, name)))(t)
}

// format is how an image is signed.
type format uint8

const (
	bundle format = iota // As cosign 3 does by itself, with the repository's name in it.
	old                  // By the tag sha256-<hex>.sig.
)

func (l *lab) sign(t *testing.T, pushed node.Pushed, format format) {
	t.Helper()
	no(t, l.tools.Sign(t.Context(), node.Signing{
		Image: pushed, Key: l.key, OldFormat: format == old, DockerConfig: l.registry.DockerConfig(),
		Annotations: map[string]string{"docker-reference": pushed.Repository},
	}))
}

// signed pushes an image and signs it.
func (l *lab) signed(t *testing.T, name string, format format) node.Pushed {
	t.Helper()
	pushed := l.push(t, name)
	l.sign(t, pushed, format)
	return pushed
}

// marker is what an image of this package writes: see push.
func (l *lab) marker(image node.Pushed) string {
	return strings.TrimPrefix(image.Reference, l.registry.Host+"/")
}

func (l *lab) pod(namespace string, image node.Pushed) node.Pod {
	return node.Pod{
		Namespace: namespace, Name: fmt.Sprintf("pod-%d", l.pods.Add(1)),
		Container: node.Container{Image: image.Reference},
	}
}

// pull pulls an image for no pod.
func (l *lab) pull(t *testing.T, image node.Pushed) error {
	t.Helper()
	_, err := l.CRI.PullImage(t.Context(), image.Reference, nil, nil)
	return err
}
