package main

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// warmUp is how many containers are created before any is measured.
const warmUp = 50

// creation compares creating a container under countersign with creating it under a plugin that does nothing, on two
// nodes, in turn; and countersign's own callback with a bare snapshot Stat, which it cannot do without.
func (b *bench) creation(ctx context.Context) (err error) {
	registry, err := node.StartRegistry(ctx, node.RegistryConfig{Tools: b.tools})
	if err != nil {
		return err
	}
	defer func() { closing(&err, registry.Close) }()
	image, policy, err := b.image(ctx, registry)
	if err != nil {
		return err
	}
	ours, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, ours.Close) }()
	if err := ours.WritePolicy("", policy.JSON()); err != nil {
		return err
	}
	daemon, err := ours.StartDaemon(ctx, node.DaemonConfig{Program: b.program})
	if err != nil {
		return err
	}
	bare, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"idle"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, bare.Close) }()
	stop, err := startIdlePlugin(ctx, bare.NRISocket())
	if err != nil {
		return err
	}
	defer func() { closing(&err, stop) }()
	return b.compare(ctx, ours, bare, daemon, image.Reference)
}

func (b *bench) compare(ctx context.Context, ours, bare *node.Node, daemon *node.Daemon, reference string) error {
	a, err := newCreator(ctx, ours, reference)
	if err != nil {
		return err
	}
	defer a.close()
	z, err := newCreator(ctx, bare, reference)
	if err != nil {
		return err
	}
	defer z.close()
	if _, err := pairs(ctx, a, z, warmUp); err != nil {
		return err
	}
	before, err := callbacks(ctx, daemon)
	if err != nil {
		return err
	}
	times, err := pairs(ctx, a, z, b.pairs)
	if err != nil {
		return err
	}
	after, err := callbacks(ctx, daemon)
	if err != nil {
		return err
	}
	low, ratio, high := ratioOfMedians(times.ours, times.bare)
	fmt.Fprintf(b.report.out, "\n%d pairs of containers created, warm\n", b.pairs)
	b.report.note("CreateContainer under a plugin that does nothing, median", 1e3*quantile(times.bare, 0.5), "ms")
	b.report.note("CreateContainer under countersign, median", 1e3*quantile(times.ours, 0.5), "ms")
	b.report.note("their ratio of medians", ratio, "")
	b.report.note("its bootstrap 95 % interval, lower end", low, "")
	b.report.atMost("its bootstrap 95 % interval, upper end", high, 1.08, "")
	callback := after.since(before)
	for _, q := range []float64{0.5, 0.99} {
		stat := quantile(times.stats, q)
		b.report.note(fmt.Sprintf("bare snapshot Stat, p%g", 100*q), 1e3*stat, "ms")
		b.report.note(fmt.Sprintf("the callback, by the daemon's own histogram, p%g", 100*q), 1e3*callback.quantile(q), "ms")
		b.report.atMost(fmt.Sprintf("the callback over the bare Stat, p%g", 100*q), callback.quantile(q)/stat, 1.5, "")
	}
	return nil
}

// times are seconds, a place for each pair.
type times struct{ ours, bare, stats []float64 }

// pairs creates and removes containers on both nodes in turn. Which node is the first of a pair alternates, too.
func pairs(ctx context.Context, ours, bare *creator, count int) (times, error) {
	var t times
	for i := range count {
		first, second := ours, bare
		if i%2 == 1 {
			first, second = bare, ours
		}
		for _, creator := range []*creator{first, second} {
			took, stat, err := creator.create(ctx)
			if err != nil {
				return times{}, err
			}
			if creator == ours {
				t.ours, t.stats = append(t.ours, took.Seconds()), append(t.stats, stat.Seconds())
			} else {
				t.bare = append(t.bare, took.Seconds())
			}
		}
	}
	return t, nil
}

// creator creates one container of a pod again and again.
type creator struct {
	cri        *node.CRI
	pod        *node.RunningPod
	request    *cri.CreateContainerRequest
	containerd *client.Client
	snapshots  snapshots.Snapshotter
}

func newCreator(ctx context.Context, n *node.Node, reference string) (*creator, error) {
	pod, err := n.RunPodUntil(ctx, node.Pod{
		Namespace: "default", Name: "bench", Container: node.Container{Image: reference},
	})
	if err != nil {
		return nil, err
	}
	request, err := pod.CreationRequest(ctx, node.Container{Name: "again", Image: reference})
	if err != nil {
		return nil, err
	}
	containerd, err := client.New(n.ContainerdSocket(), client.WithDefaultNamespace("k8s.io"))
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd: %w", err)
	}
	return &creator{n.CRI, pod, request, containerd, containerd.SnapshotService("overlayfs")}, nil
}

func (c *creator) close() { _ = c.containerd.Close() }

// create returns how long it took to create a container, and then to ask for its snapshot.
func (c *creator) create(ctx context.Context) (took, stat time.Duration, err error) {
	c.request.Config.Metadata.Attempt++
	start := time.Now()
	created, err := c.cri.Runtime.CreateContainer(ctx, c.request)
	took = time.Since(start)
	if err != nil {
		return 0, 0, fmt.Errorf("creating a container: %w", err)
	}
	start = time.Now()
	if _, err := c.snapshots.Stat(ctx, created.GetContainerId()); err != nil {
		return 0, 0, fmt.Errorf("asking for its snapshot: %w", err)
	}
	stat = time.Since(start)
	_, err = c.cri.Runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: created.GetContainerId()})
	return took, stat, err
}
