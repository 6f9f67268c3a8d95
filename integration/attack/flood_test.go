package attack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// hangingRegistry is a tenant's own registry: it never answers to whoever asks for signatures.
func hangingRegistry(t *testing.T) *node.Registry {
	t.Helper()
	over := make(chan struct{})
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if strings.HasSuffix(request.URL.Path, ".sig") {
				select {
				case <-over:
				case <-request.Context().Done():
				}
			}
			next.ServeHTTP(writer, request)
		})
	}})
	t.Cleanup(func() { close(over) })
	return registry
}

// flood has two hundred containers refused, each of a repository of its own in a registry that hangs, and wants each of
// the signed containers that others create meanwhile: of images that the node has seen, and of images that it has not.
func (l *lab) flood(t *testing.T) {
	const floods, flooders, seen, unseen = 200, 8, 12, 6
	hanging := hangingRegistry(t)
	image := l.image(t, "flooding")
	var references []string
	for i := range floods {
		pushed := must(hanging.Push(t.Context(), fmt.Sprintf("flood/%d:v1", i), image))(t)
		pull(t, l.Node, pushed.Reference)
		references = append(references, pushed.Reference)
	}
	_, signed := l.signed(t, "shop/flood:v1", "signed in a flood")
	base := l.begin(t, l.Node, crowd, node.Container{Image: signed.Reference})
	var fresh []node.Pushed
	for i := range unseen {
		_, pushed := l.signed(t, fmt.Sprintf("shop/flood-%d:v1", i), fmt.Sprintf("signed in a flood %d", i))
		fresh = append(fresh, pushed)
	}

	var flooding sync.WaitGroup
	refused := make(chan error, floods)
	queue := make(chan string, floods)
	for _, reference := range references {
		queue <- reference
	}
	close(queue)
	for range flooders {
		flooding.Go(func() {
			for reference := range queue {
				refused <- l.floodOnce(t.Context(), base, reference)
			}
		})
	}
	for range seen {
		l.runs(t, l.Node, strict, signed.Reference, "signed in a flood")
	}
	for i, pushed := range fresh {
		l.runs(t, l.Node, strict, pushed.Reference, fmt.Sprintf("signed in a flood %d", i))
	}
	flooding.Wait()
	for range floods {
		if err := <-refused; err != nil {
			t.Error(err)
		}
	}
}

// floodOnce asks for one container that must be refused, because nothing is known of its signatures.
func (l *lab) floodOnce(ctx context.Context, pod *node.RunningPod, reference string) error {
	container := node.Container{Name: "flood", Image: reference, Pull: node.Never}
	request, err := pod.CreationRequest(ctx, container)
	if err != nil {
		return err
	}
	request.Config.Metadata.Name = strings.NewReplacer("/", "-", ":", "-").Replace(reference)
	created, err := l.CRI.Runtime.CreateContainer(ctx, request)
	if err == nil {
		return errors.New("created: " + created.GetContainerId())
	}
	if !strings.Contains(err.Error(), prefix) {
		return fmt.Errorf("refused, and not by countersign: %w", err)
	}
	l.refusals.add(refusal{crowd, pod.Pod.Name, []string{reference}, err.Error()})
	return nil
}
