package lifecycle_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
)

// Namespaces of every node: strict asks for a signature by the key, loose accepts anything, and plain has no document,
// so that the system's governs it, which asks for a signature too.
const (
	strict = "strict"
	loose  = "loose"
	plain  = "plain"
)

// lab is one node with its registry and its daemon.
type lab struct {
	*node.Node
	*workshop
	registry *node.Registry
	daemon   *node.Daemon
	pods     atomic.Int64
}

// newLab boots a node that requires countersign. The daemon is configured and not started.
func (w *workshop) newLab(t *testing.T, daemon node.DaemonConfig) *lab {
	t.Helper()
	l := &lab{
		workshop: w,
		registry: node.NewRegistry(t, node.RegistryConfig{Tools: w.tools}),
		Node:     node.Start(t, node.Config{Tools: w.tools, RequiredPlugins: []string{"countersign"}}),
	}
	l.write(t, "", l.signatures())
	l.write(t, strict, l.signatures())
	l.write(t, loose, accepting())
	l.daemon = l.newDaemon(t, daemon)
	return l
}

// newDaemon configures a daemon that ends with the test.
func (l *lab) newDaemon(t *testing.T, config node.DaemonConfig) *node.Daemon {
	t.Helper()
	config.Program = l.program
	daemon := must(l.NewDaemon(t.Context(), config))(t)
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

func (l *lab) signatures() node.Policy { return node.Policy{Default: node.Cosign(l.key.Public)} }

func accepting() node.Policy { return node.Policy{Default: node.Accept()} }

func (l *lab) write(t *testing.T, namespace string, policy node.Policy) {
	t.Helper()
	l.writeRaw(t, namespace, policy.JSON())
}

func (l *lab) writeRaw(t *testing.T, namespace, document string) {
	t.Helper()
	if err := l.WritePolicy(namespace, document); err != nil {
		t.Fatal(err)
	}
}

// document is the path of a namespace's document.
func (l *lab) document(namespace string) string {
	if namespace == "" {
		return l.SystemPolicy()
	}
	return l.PolicyDirectory() + "/" + namespace + ".json"
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

func (l *lab) start(t *testing.T) {
	t.Helper()
	no(t, l.daemon.Start())
	no(t, l.daemon.Ready(t.Context()))
}

func (l *lab) restart(t *testing.T) {
	t.Helper()
	no(t, l.daemon.Restart(t.Context()))
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

func (l *lab) sign(t *testing.T, pushed node.Pushed, recursive bool) {
	t.Helper()
	no(t, l.tools.Sign(t.Context(), node.Signing{Image: pushed, Key: l.key, OldFormat: true, Recursive: recursive}))
}

func (l *lab) signed(t *testing.T, name string) node.Pushed {
	t.Helper()
	pushed := l.push(t, name)
	l.sign(t, pushed, false)
	return pushed
}

func (l *lab) pull(t *testing.T, image node.Pushed) {
	t.Helper()
	_, err := l.CRI.PullImage(t.Context(), image.Reference, nil, nil)
	no(t, err)
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
