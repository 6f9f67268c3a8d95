package nri_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	validator "github.com/containerd/nri/plugins/default-validator/builtin"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
)

// containerd is the runtime half of NRI as containerd has it built in, which requires our plugin. There is nothing else
// of containerd here. Plugins connect to it through a connection that tests can cut, because the runtime half cannot be
// killed.
type containerd struct {
	*adaptation.Adaptation
	version    string
	dir        string
	pods       []*api.PodSandbox
	containers []*api.Container
	synced     chan time.Duration
	plugins    *counter
	wire       *wire
}

func newContainerd(t testing.TB) *containerd {
	t.Helper()
	c := &containerd{version: "v2.4.2", dir: t.TempDir(), synced: make(chan time.Duration, 100)}
	if len(c.socket()) > 100 {
		t.Fatalf("%s is too long for a socket: give the test a shorter name", c.socket())
	}
	return c
}

// boot returns a containerd that runs.
func boot(t testing.TB) *containerd {
	t.Helper()
	c := newContainerd(t)
	c.start(t)
	return c
}

func (c *containerd) socket() string { return filepath.Join(c.dir, "nri.sock") }

func (c *containerd) start(t testing.TB) {
	t.Helper()
	behind := filepath.Join(c.dir, "r.sock")
	c.plugins = &counter{changed: make(chan struct{}, 1)}
	runtime, err := adaptation.New("containerd", c.version, c.synchronize,
		func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil },
		adaptation.WithSocketPath(behind),
		adaptation.WithPluginPath(filepath.Join(c.dir, "plugins")),
		adaptation.WithPluginConfigPath(filepath.Join(c.dir, "conf.d")),
		adaptation.WithMetrics(c.plugins),
		adaptation.WithTTRPCOptions([]ttrpc.ClientOpts{ttrpc.WithUnaryClientInterceptor(withoutFailurePolicy)}, nil),
		adaptation.WithDefaultValidator(&validator.DefaultValidatorConfig{
			Enable: true, RequiredPlugins: []string{"countersign"},
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.Start(); err != nil {
		t.Fatal(err)
	}
	<-c.synced // with the plugins it found installed
	c.Adaptation = runtime
	c.wire = lay(t, c.socket(), behind)
	t.Cleanup(func() { c.die() })
}

// withoutFailurePolicy makes the runtime half one of NRI 0.12.3, which containerd 2.4 has: it does not know what a
// plugin wants to happen when it fails to answer, and cuts it off.
func withoutFailurePolicy(
	ctx context.Context, request *ttrpc.Request, response *ttrpc.Response, _ *ttrpc.UnaryClientInfo,
	invoke ttrpc.Invoker,
) error {
	if err := invoke(ctx, request, response); err != nil || request.Method != "Configure" || response.Payload == nil {
		return err
	}
	var configured api.ConfigureResponse
	if err := proto.Unmarshal(response.Payload, &configured); err != nil {
		return err
	}
	configured.FailurePolicy = nil
	payload, err := proto.Marshal(&configured)
	response.Payload = payload
	return err
}

// die ends the runtime as kill -9 does: no farewell, and the sockets are closed.
func (c *containerd) die() {
	c.wire.remove()
	c.Stop()
}

func (c *containerd) synchronize(ctx context.Context, call adaptation.SyncCB) error {
	start := time.Now()
	_, err := call(ctx, c.pods, c.containers)
	c.synced <- time.Since(start)
	return err
}

// awaitPlugin waits until the runtime has our plugin on its list, in addition to its own validator.
func (c *containerd) awaitPlugin(t testing.TB) {
	t.Helper()
	timeout := time.After(testTimeout)
	for c.plugins.now.Load() != 2 {
		select {
		case <-c.plugins.changed:
		case <-timeout:
			t.Fatal("the plugin never was on the runtime's list")
		}
	}
}

// create asks whether a container may be created, as containerd does.
func (c *containerd) create(request *api.CreateContainerRequest) error {
	_, err := c.CreateContainer(context.Background(), request)
	return err
}

// request is for a container that runs registry.example/app:v1 in namespace prod.
func request() *api.CreateContainerRequest {
	return &api.CreateContainerRequest{Pod: samplePod(), Container: sampleContainer()}
}

// requestTimeout sets how long the runtime waits for plugins that register later.
func requestTimeout(t testing.TB, timeout time.Duration) {
	t.Helper()
	adaptation.SetPluginRequestTimeout(timeout)
	t.Cleanup(func() { adaptation.SetPluginRequestTimeout(adaptation.DefaultPluginRequestTimeout) })
}

// counter counts the plugins of the runtime.
type counter struct {
	now     atomic.Int64
	changed chan struct{}
}

// RecordPluginInvocation implements [adaptation.Metrics].
func (*counter) RecordPluginInvocation(string, string, error) {}

// RecordPluginLatency implements [adaptation.Metrics].
func (*counter) RecordPluginLatency(string, string, time.Duration) {}

// RecordPluginAdjustments implements [adaptation.Metrics].
func (*counter) RecordPluginAdjustments(string, string, *api.ContainerAdjustment, int, int) {}

// UpdatePluginCount implements [adaptation.Metrics].
func (c *counter) UpdatePluginCount(count int) {
	c.now.Store(int64(count))
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// wire joins the socket that plugins know to the one that the runtime listens on.
type wire struct {
	listener net.Listener
	behind   string
	mu       sync.Mutex
	ends     []net.Conn
	running  sync.WaitGroup
}

func lay(t testing.TB, front, behind string) *wire {
	t.Helper()
	listener, err := net.Listen("unix", front)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, behind: behind}
	w.running.Go(w.accept)
	return w
}

func (w *wire) accept() {
	for {
		front, err := w.listener.Accept()
		if err != nil {
			return
		}
		back, err := net.Dial("unix", w.behind)
		if err != nil {
			front.Close()
			continue
		}
		w.mu.Lock()
		w.ends = append(w.ends, front, back)
		w.mu.Unlock()
		w.running.Go(func() { join(front, back) })
		w.running.Go(func() { join(back, front) })
	}
}

func join(to, from net.Conn) {
	defer to.Close()
	_, _ = io.Copy(to, from)
}

// cut ends every connection there is.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ends {
		end.Close()
	}
	w.ends = nil
}

// remove cuts the connections and removes the socket.
func (w *wire) remove() {
	w.listener.Close()
	w.cut()
	w.running.Wait()
}
