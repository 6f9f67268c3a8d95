package main

import (
	"context"
	"fmt"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

const (
	// statusPairs and pullPairs are the numbers of calls with and without the proxy.
	statusPairs = 3000
	pullPairs   = 1500
)

// imageService measures what the image service adds to the calls of a kubelet: each call is made through it and at
// containerd's own socket in turn.
func (b *bench) imageService(ctx context.Context) (err error) {
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	n, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, n.Close) }()
	if err := n.WritePolicy("", image.policy.JSON()); err != nil {
		return err
	}
	if err := n.WritePolicy("dev", node.Policy{Default: node.Accept()}.JSON()); err != nil {
		return err
	}
	proxy, _, err := b.startWithProxy(ctx, n)
	if err != nil {
		return err
	}
	defer func() { closing(&err, proxy.Close) }()
	fmt.Fprintf(b.report.out, "\ncalls of the kubelet through the image service, and without it\n")
	return b.compareCalls(ctx, [2]*node.CRI{proxy, n.CRI}, image.Pushed)
}

// startWithProxy starts a daemon with an image service, and connects to it.
func (b *bench) startWithProxy(ctx context.Context, n *node.Node) (*node.CRI, *node.Daemon, error) {
	socket := n.Path("cri.sock")
	daemon, err := n.StartDaemon(ctx, node.DaemonConfig{
		Program: b.program, Settings: map[string]map[string]any{"cri_proxy": {"socket": socket}},
	})
	if err != nil {
		return nil, nil, err
	}
	proxy, err := node.ConnectCRI(socket)
	return proxy, daemon, err
}

func (b *bench) compareCalls(ctx context.Context, clients [2]*node.CRI, image node.Pushed) error {
	pull := func(namespace, reference string) func(*node.CRI) error {
		sandbox := &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Namespace: namespace, Name: "app", Uid: "1"}}
		return func(client *node.CRI) error {
			_, err := client.PullImage(ctx, reference, nil, sandbox)
			return err
		}
	}
	status := func(client *node.CRI) error {
		_, err := client.ImageID(ctx, image.Reference)
		return err
	}
	const present = "PullImage of a present image, "
	for _, call := range []struct {
		what  string
		pairs int
		bound float64
		make  func(*node.CRI) error
	}{
		{present + "no signature required", pullPairs, 0.5, pull("dev", image.Reference)},
		{present + "by digest", pullPairs, 0.5, pull("default", image.ByDigest())},
		{present + "by tag, with a HEAD of countersign's own", pullPairs, 0, pull("default", image.Reference)},
		{"ImageStatus", statusPairs, 0.25, status},
	} {
		took, err := pairs(clients, min(b.pairs, call.pairs), call.make)
		if err != nil {
			return err
		}
		low, median, high := medianDifference(took[0], took[1])
		b.report.note(call.what+", added, median of the pairs", 1e3*median, "ms")
		b.report.note("its bootstrap 95 % interval, lower end", 1e3*low, "ms")
		b.report.note("its bootstrap 95 % interval, upper end", 1e3*high, "ms")
		for _, q := range []float64{0.5, 0.99} {
			with, without := quantile(took[0], q), quantile(took[1], q)
			what := fmt.Sprintf("%s, p%g", call.what, 100*q)
			b.report.note(what+", containerd", 1e3*without, "ms")
			if added := 1e3 * (with - without); call.bound > 0 {
				b.report.atMost(what+", added", added, call.bound, "ms")
			} else {
				b.report.note(what+", added", added, "ms")
			}
		}
	}
	return nil
}

// pairs calls both clients in turn, starting with either in turn, and returns the duration of each call in seconds. The
// first pairs are not counted.
func pairs(clients [2]*node.CRI, count int, call func(*node.CRI) error) (took [2][]float64, err error) {
	const warm = 20
	for round := range warm + count {
		for turn := range clients {
			i := (round + turn) % len(clients)
			start := time.Now()
			if err := call(clients[i]); err != nil {
				return took, err
			}
			if round >= warm {
				took[i] = append(took[i], time.Since(start).Seconds())
			}
		}
	}
	return took, nil
}

// serviceMemory measures how much larger the daemon is with an image service that has served a kubelet, on a node with
// 100 images.
func (b *bench) serviceMemory(ctx context.Context) (err error) {
	n, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, n.Close) }()
	if err := fill(ctx, n, 100); err != nil {
		return err
	}
	if err := n.WritePolicy("", node.Policy{Default: node.Accept()}.JSON()); err != nil {
		return err
	}
	daemon, err := n.StartDaemon(ctx, node.DaemonConfig{Program: b.program})
	if err != nil {
		return err
	}
	without, err := settled(ctx, daemon)
	if err != nil {
		return err
	}
	if err := daemon.Terminate(ctx); err != nil {
		return err
	}
	proxy, daemon, err := b.startWithProxy(ctx, n)
	if err != nil {
		return err
	}
	defer func() { closing(&err, proxy.Close) }()
	for range 1000 {
		if _, err := proxy.Images.ListImages(ctx, &cri.ListImagesRequest{}); err != nil {
			return fmt.Errorf("listing images: %w", err)
		}
	}
	with, err := settled(ctx, daemon)
	if err != nil {
		return err
	}
	fmt.Fprintln(b.report.out)
	b.report.note("resident set without the image service, 100 images", without, "MiB")
	b.report.atMost("what the image service adds, after 1,000 lists of images", with-without, 5, "MiB")
	return nil
}

// settled waits until a daemon is at rest, and returns its resident set in MiB.
func settled(ctx context.Context, daemon *node.Daemon) (float64, error) {
	process := daemon.Process().Pid
	if err := settle(ctx, process); err != nil {
		return 0, err
	}
	return residentSet(process)
}
