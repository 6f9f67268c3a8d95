package attack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// hangingRegistry is a tenant's own registry, which never answers requests for signatures, and counts them.
func hangingRegistry(t *testing.T, asked *atomic.Int64) *node.Registry {
	t.Helper()
	over := make(chan struct{})
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if strings.Contains(request.URL.Path, "/manifests/sha256-") || strings.Contains(request.URL.Path, "/referrers/") {
				asked.Add(1)
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

// flood creates containers of two hundred repositories in twelve registries that hang; all are refused. Meanwhile each
// signed container of other tenants must run, of images that the node already has and of new ones.
func (l *lab) flood(t *testing.T) {
	const registries, floods, seen, unseen = 12, 200, 12, 6
	var hanging []*node.Registry
	for range registries {
		hanging = append(hanging, hangingRegistry(t, new(atomic.Int64)))
	}
	image := l.image(t, "flooding")
	var references []string
	for i := range floods {
		pushed := must(hanging[i%registries].Push(t.Context(), fmt.Sprintf("flood/%d:v1", i), image))(t)
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

	end := l.startFlood(t, base, references)
	defer end()
	for range seen {
		l.runs(t, l.Node, strict, signed.Reference, "signed in a flood")
	}
	for i, pushed := range fresh {
		l.runs(t, l.Node, strict, pushed.Reference, fmt.Sprintf("signed in a flood %d", i))
	}
	t.Logf("%d containers were refused while %d were created", end(), seen+unseen)
}

// startFlood requests a container of each reference repeatedly. The function that it returns ends the flood, and
// returns the number of refusals.
func (l *lab) startFlood(t *testing.T, pod *node.RunningPod, references []string) (end func() int64) {
	t.Helper()
	var flooders sync.WaitGroup
	var asked atomic.Int64
	var over atomic.Bool
	ended := func() bool { return over.Load() && asked.Load() >= int64(len(references)) }
	for range 8 {
		flooders.Go(func() {
			for !ended() {
				number := asked.Add(1)
				name := fmt.Sprintf("flood-%d", number)
				if err := l.floodOnce(t.Context(), pod, name, references[number%int64(len(references))]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return sync.OnceValue(func() int64 {
		over.Store(true)
		flooders.Wait()
		return asked.Load()
	})
}

// floodOnce requests one container that must be refused, because its signatures cannot be determined.
func (l *lab) floodOnce(ctx context.Context, pod *node.RunningPod, name, reference string) error {
	container := node.Container{Name: name, Image: reference, Pull: node.Never}
	request, err := pod.CreationRequest(ctx, container)
	if err != nil {
		return err
	}
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
