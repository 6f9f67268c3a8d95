// Command deadlock shows that containerd 2.1 to 2.4 deadlock if an NRI plugin connects while a pod sandbox with
// containers is removed. It needs nothing of countersign: it takes a running containerd, and an image that is on it.
//
//	deadlock -containerd /run/containerd/containerd.sock -nri /var/run/nri/nri.sock -image registry.k8s.io/pause:3.10
//
// It exits with status 1 if containerd deadlocks, which then has to be restarted, and with 0 if it does not.
//
// RemovePodSandbox holds a read lock (BlockPluginSync in github.com/containerd/nri, pkg/adaptation), and calls
// RemoveContainer for each container of the sandbox, which takes the same lock again. A plugin that connects takes the
// lock for writing before it is synchronized. If it does that between the two, the writer waits for the first reader,
// and the second read lock, which sync.RWMutex does not grant while a writer waits, for the writer. From then on every
// call that takes the lock hangs: no container is created, started, stopped or removed, and no plugin connects.
//
// A first plugin makes that certain here: it delays the removal in its handler of StopPodSandbox until the second one
// is configured, after which containerd takes the lock for writing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// timeout is how long containerd may take to remove a pod, which usually takes a fraction of a second.
const timeout = 10 * time.Second

func main() {
	containerd := flag.String("containerd", "/run/containerd/containerd.sock", "containerd's socket")
	nri := flag.String("nri", "/var/run/nri/nri.sock", "NRI's socket")
	image := flag.String("image", "registry.k8s.io/pause:3.10", "an image on the node whose container does not exit")
	cgroup := flag.String("cgroup", "", "the cgroup parent of the pod")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	deadlocked, err := run(ctx, *containerd, *nri, pod{image: *image, cgroup: *cgroup})
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "deadlock:", err)
		os.Exit(2)
	case deadlocked:
		fmt.Printf("RemovePodSandbox has not returned for %s: containerd is deadlocked and has to be restarted\n", timeout)
		os.Exit(1)
	}
	fmt.Println("RemovePodSandbox returned: containerd is not deadlocked")
}

func run(ctx context.Context, containerd, nri string, of pod) (deadlocked bool, err error) {
	connection, err := grpc.NewClient("unix://"+containerd, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false, fmt.Errorf("connecting to containerd: %w", err)
	}
	defer connection.Close()
	first := &plugin{socket: nri, synchronized: make(chan struct{})}
	if err := first.start(ctx, "01", first); err != nil {
		return false, err
	}
	defer first.stop()
	select {
	case <-first.synchronized:
	case <-ctx.Done():
		return false, errors.New("the first plugin is not synchronized: is containerd deadlocked already?")
	}
	runtime := cri.NewRuntimeServiceClient(connection)
	sandbox, err := of.start(ctx, runtime)
	if err != nil {
		return false, err
	}
	removed := make(chan error, 1)
	go func() {
		_, err := runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox})
		removed <- err
	}()
	select {
	case err := <-removed:
		return false, err
	case <-time.After(timeout):
		return true, nil
	}
}

// plugin is the first plugin: it connects a second one while a sandbox is being removed.
type plugin struct {
	socket       string
	synchronized chan struct{}
	stops        []func()
}

var _ stub.SynchronizeInterface = (*plugin)(nil)

func (p *plugin) start(ctx context.Context, index string, handlers any) error {
	s, err := stub.New(handlers, stub.WithPluginName("deadlock"), stub.WithPluginIdx(index), stub.WithSocketPath(p.socket))
	if err != nil {
		return fmt.Errorf("preparing a plugin: %w", err)
	}
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("starting a plugin: %w", err)
	}
	p.stops = append(p.stops, s.Stop)
	return nil
}

func (p *plugin) stop() {
	for _, stop := range p.stops {
		stop()
	}
}

// Synchronize is called when containerd has accepted the plugin.
func (p *plugin) Synchronize(context.Context, []*api.PodSandbox, []*api.Container) ([]*api.ContainerUpdate, error) {
	close(p.synchronized)
	return nil, nil
}

// StopPodSandbox is called while RemovePodSandbox holds the lock for the first time.
func (p *plugin) StopPodSandbox(_ context.Context, _ *api.PodSandbox) error {
	second := &second{}
	// This returns when the second plugin is configured. Then containerd takes the lock for writing, and it has time to.
	if err := p.start(context.Background(), "02", second); err != nil {
		return err
	}
	<-time.After(time.Second)
	return nil
}

// second is the second plugin.
type second struct{}

// RemovePodSandbox does nothing, but a plugin has to subscribe to something.
func (*second) RemovePodSandbox(context.Context, *api.PodSandbox) error { return nil }
