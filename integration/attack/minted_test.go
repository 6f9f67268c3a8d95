package attack_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// The registries of the node, by the names that images have for them.
const (
	namedRegistry = "registry.named.test" // A policy document names it.
	knownRegistry = "registry.known.test" // It answered before.
	freshRegistry = "registry.fresh.test" // Nothing is known of it.
	inventedBelow = "evil.test"           // The attacker's domain, below which he has as many as he likes.
)

// minted is a node on which a tenant requests containers of images of registries that he has invented, each of which
// hangs.
type minted struct {
	*rig.Rig
	// asked counts the requests for signatures that hang.
	asked      atomic.Int64
	references []string
}

// mintedNames is how many registries the tenant has invented. containerd's CRI needs more than a minute for thousands
// of names, so only make chaos uses that many.
const mintedNames = 200

// TestMintedRegistries: what a tenant pulls does not delay the signed images of others. Names cost him nothing.
func TestMintedRegistries(t *testing.T) {
	m := newMinted(t, rig.NewWorkshop(t))
	m.signed(t, knownRegistry, "before")
	m.runs(t, knownRegistry, "before")
	end := m.attack(t)
	defer end()
	for _, registry := range []string{namedRegistry, knownRegistry, freshRegistry} {
		m.signed(t, registry, "new")
		before, start := m.asked.Load(), time.Now()
		m.runs(t, registry, "new")
		asked := m.asked.Load() - before
		t.Logf("a new signed image of %s ran after %v; %d requests to minted registries began meanwhile",
			registry, time.Since(start).Round(time.Millisecond), asked)
		// A fetch that hangs makes three requests in ten seconds, and four of them run at once. An image that waits for
		// those of the tenant waits for more than twice as many requests as this.
		if asked > 60 {
			t.Errorf("the new image of %s waited for the fetches of others", registry)
		}
	}
	t.Logf("%d containers were refused meanwhile", end())
}

func newMinted(t *testing.T, workshop *rig.Workshop) *minted {
	t.Helper()
	good := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	m := &minted{Rig: workshop.NewRig(t, good)}
	hostile := hangingRegistry(t, &m.asked)
	for _, host := range []string{namedRegistry, knownRegistry, freshRegistry} {
		rig.OK(t, m.WriteHosts(host, node.Mirror{URL: good.URL()}))
	}
	// What stands for DNS: every other name leads to the attacker.
	rig.OK(t, m.WriteHosts("_default", node.Mirror{URL: hostile.URL()}))
	signed := node.Cosign(workshop.Key.Public)
	policy := node.Policy{Default: signed, Scopes: map[string]node.Requirement{namedRegistry: signed}}
	for _, namespace := range []string{"", strict, crowd} {
		m.Write(t, namespace, policy)
	}
	m.Write(t, lax, node.Policy{Default: node.Accept()})
	m.Daemon = m.PrepareDaemon(t, node.DaemonConfig{})
	m.Start(t)

	rig.Must(hostile.Push(t.Context(), "app:v1", m.Image(t, "minted")))(t)
	m.mint(t)
	return m
}

// mint pulls the image of the first invented registry. The image gets the names of the others as a pull would give
// them, but without one: hundreds of pulls take minutes.
func (m *minted) mint(t *testing.T) {
	t.Helper()
	for i := range mintedNames {
		m.references = append(m.references, fmt.Sprintf("minted-%d.%s/app:v1", i, inventedBelow))
	}
	pull(t, m.Node, m.references[0])
	containerd := rig.Must(client.New(m.ContainerdSocket(), client.WithDefaultNamespace("k8s.io")))(t)
	defer containerd.Close()
	pulled := rig.Must(containerd.ImageService().Get(t.Context(), m.references[0]))(t)
	for _, reference := range m.references[1:] {
		_, err := containerd.ImageService().Create(t.Context(), images.Image{
			Name: reference, Target: pulled.Target, Labels: pulled.Labels,
		})
		if err != nil && !errdefs.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for id := ""; id == ""; {
		select {
		case <-ctx.Done():
			t.Fatal("CRI does not know the names")
		case <-again.C:
			id = rig.Must(m.CRI.ImageID(ctx, m.references[mintedNames-1]))(t)
		}
	}
}

// signed pushes an image of a registry and signs it.
func (m *minted) signed(t *testing.T, registry, name string) {
	t.Helper()
	// The same marker twice would be the same image.
	pushed := rig.Must(m.Registry.Push(t.Context(), registry+"/"+name+":v1", m.Image(t, registry+"/"+name)))(t)
	rig.OK(t, m.Tools.Sign(t.Context(), node.Signing{
		Image: pushed, Key: m.Key, OldFormat: true, Identity: strings.TrimSuffix(signedImage(registry, name), ":v1"),
	}))
}

func signedImage(registry, name string) string { return registry + "/" + registry + "/" + name + ":v1" }

// runs runs a pod of an image that signed has pushed, and repeats that while it is refused.
func (m *minted) runs(t *testing.T, registry, name string) {
	t.Helper()
	pod := node.Pod{
		Namespace: strict, Name: fmt.Sprintf("pod-%d", m.Number()),
		Container: node.Container{Image: signedImage(registry, name)},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		running, err := m.RunPodUntil(ctx, pod)
		if err == nil {
			rig.OK(t, running.Remove(t.Context()))
			return
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), prefix) {
			t.Fatalf("%s does not run: %v", pod.Image, err)
		}
	}
}

// attack requests containers of all invented registries, again and again. It returns when as many were refused as
// there are; the function that it returns ends the attack, and returns how many requests were refused.
func (m *minted) attack(t *testing.T) (end func() int64) {
	t.Helper()
	base := rig.Must(m.RunPodUntil(t.Context(), node.Pod{
		Namespace: crowd, Container: node.Container{Image: signedImage(knownRegistry, "before")},
	}))(t)
	var attackers sync.WaitGroup
	var asked, refused atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	for range 8 {
		attackers.Go(func() {
			for ctx.Err() == nil {
				number := asked.Add(1)
				container := node.Container{
					Name: fmt.Sprintf("minted-%d", number), Image: m.references[number%int64(len(m.references))], Pull: node.Never,
				}
				request, err := base.CreationRequest(ctx, container)
				if err != nil {
					continue
				}
				_, err = m.CRI.Runtime.CreateContainer(ctx, request)
				switch {
				case err == nil:
					t.Errorf("%s was created", container.Image)
				case strings.Contains(err.Error(), prefix):
					if refused.Add(1) == mintedNames {
						close(begun)
					}
				}
			}
		})
	}
	select {
	case <-begun:
	case <-time.After(rig.Patience * 4):
		t.Error("the attack does not begin")
	}
	return sync.OnceValue(func() int64 {
		cancel()
		attackers.Wait()
		return refused.Load()
	})
}
