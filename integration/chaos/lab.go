//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// The namespaces. The policies of strict and of system require a signature by the operator's key; that of system is the
// system policy. That of other requires one by another key.
const (
	strict = "strict"
	system = "system"
	other  = "other"
)

// lab is a node with a daemon, and what is requested on it.
type lab struct {
	tools             *node.Tools
	node              *node.Node
	registry, hostile *node.Registry
	moody, attacker   moody
	daemon            *daemon
	requests          *requester
	key, otherKey     node.Key
	directory, disk   string
	// pods are the pods in which containers are requested, by namespace.
	pods map[string]*node.RunningPod
	// documents are the policies, by the paths of their files.
	documents map[string]string
	trials    []*trial
	invented  []*trial
	signed    node.Pushed
	images    int
	// names is how many registries the attacker invents.
	names   int
	tearing tearing
	// signatures is the manifest of those that an attack has replaced.
	signatures []byte
	// observe receives the result of each request that an attack makes.
	observe func(*result)
	closers []func() error
}

// newLab boots a node, and starts what runs on it. It must be closed.
func newLab(ctx context.Context, names int, log io.Writer) (*lab, error) {
	if err := node.Supported(); err != nil {
		return nil, err
	}
	l := &lab{names: names, pods: map[string]*node.RunningPod{}, documents: map[string]string{}}
	if err := l.start(ctx, log); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) start(ctx context.Context, log io.Writer) (err error) {
	if l.tools, err = node.BuildTools(ctx, log); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		l.makeKeys, l.startRegistries, l.boot, l.startDaemon, l.startPods, l.makeTrials,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	l.daemon.before, err = l.daemon.measure(ctx)
	return err
}

func (l *lab) close() (err error) {
	for _, closer := range slices.Backward(l.closers) {
		err = errors.Join(err, closer())
	}
	return err
}

func (l *lab) makeKeys(ctx context.Context) (err error) {
	if l.directory, err = os.MkdirTemp("", "chaos-"); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	l.closers = append(l.closers, func() error { return os.RemoveAll(l.directory) })
	if l.key, err = l.tools.GenerateKey(ctx, l.directory, "operator"); err != nil {
		return err
	}
	l.otherKey, err = l.tools.GenerateKey(ctx, l.directory, "other")
	return err
}

func (l *lab) startRegistries(ctx context.Context) (err error) {
	l.registry, err = node.StartRegistry(ctx, node.RegistryConfig{InProcess: true, Wrap: l.moody.wrap})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, l.registry.Close)
	l.hostile, err = node.StartRegistry(ctx, node.RegistryConfig{InProcess: true, Wrap: l.attacker.wrap})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, l.hostile.Close)
	return nil
}

func (l *lab) boot(ctx context.Context) (err error) {
	l.node, err = node.Boot(ctx, node.Config{Tools: l.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, l.node.Close)
	signed, byOther := node.Cosign(l.key.Public), node.Cosign(l.otherKey.Public)
	scopes := map[string]node.Requirement{l.registry.Host: signed}
	for namespace, policy := range map[string]node.Policy{
		"": {Default: signed, Scopes: scopes}, strict: {Default: signed, Scopes: scopes}, other: {Default: byOther},
	} {
		if err := l.node.WritePolicy(namespace, policy.JSON()); err != nil {
			return err
		}
		l.documents[l.node.PolicyFile(namespace)] = policy.JSON()
	}
	// Instead of DNS: unknown names resolve to the attacker.
	return errors.Join(
		l.node.WriteHosts("_default", node.Mirror{URL: l.hostile.URL()}),
		l.node.WriteHosts(l.registry.Host, node.Mirror{URL: l.registry.URL()}),
	)
}

func (l *lab) startDaemon(ctx context.Context) error {
	program, err := l.tools.BuildProgram(ctx, "./plugin/countersign", l.directory, false)
	if err != nil {
		return err
	}
	l.disk = l.node.Path("disk")
	if err := mountDisk(l.disk); err != nil {
		return err
	}
	l.daemon, err = newDaemon(ctx, l.node, program, map[string]map[string]any{
		"evidence": {"directory": l.disk + "/evidence"},
		"log":      {"level": "warn"},
	})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func() error { return l.daemon.close(context.WithoutCancel(ctx)) })
	return nil
}

// startPods starts a pod in each namespace, with a container that runs.
func (l *lab) startPods(ctx context.Context) (err error) {
	l.requests = &requester{cri: l.node.CRI}
	for namespace, key := range map[string]node.Key{strict: l.key, system: l.key, other: l.otherKey} {
		image, err := l.push(ctx, "base/"+namespace, namespace, &key)
		if err != nil {
			return err
		}
		l.pods[namespace], err = l.node.RunPodUntil(ctx, node.Pod{
			Namespace: namespace, Name: namespace, Container: node.Container{Image: image.Reference},
		})
		if err != nil {
			return fmt.Errorf("starting a pod: %w", err)
		}
	}
	return nil
}

// push pushes an image with a marker, and signs it if a key is given.
func (l *lab) push(ctx context.Context, repository, marker string, key *node.Key) (node.Pushed, error) {
	image, err := l.tools.Image(marker)
	if err != nil {
		return node.Pushed{}, err
	}
	pushed, err := l.registry.Push(ctx, repository+":v1", image)
	if err != nil || key == nil {
		return pushed, err
	}
	return pushed, l.tools.Sign(ctx, node.Signing{Image: pushed, Key: *key, OldFormat: true})
}

// borrow returns an image with the layers of another one, and another entrypoint.
func borrow(image v1.Image) (v1.Image, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making an image: %w", err)
	}
	file = file.DeepCopy()
	file.Config.Entrypoint = []string{"/witness", "print", "/marker"}
	borrowed, err := mutate.ConfigFile(image, file)
	if err != nil {
		return nil, fmt.Errorf("making an image: %w", err)
	}
	return borrowed, nil
}

// request returns the request for a container, in the namespace's pod, of an image that is written in some way.
func (l *lab) request(ctx context.Context, namespace string, pulled node.Pushed, written string) (
	*cri.CreateContainerRequest, error,
) {
	request, err := l.pods[namespace].CreationRequest(ctx, node.Container{Name: "try", Image: pulled.Reference})
	if err != nil {
		return nil, err
	}
	request.Config.Image.UserSpecifiedImage = written
	request.Config.LogPath = ""
	return request, nil
}
