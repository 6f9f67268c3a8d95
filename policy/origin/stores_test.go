package origin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/introspection/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/containerd/v2/core/events/exchange"
	"github.com/containerd/containerd/v2/core/images"
	coreintrospection "github.com/containerd/containerd/v2/core/introspection"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.etcd.io/bbolt"

	"github.com/countersign/countersign/policy/origin"
)

const kubernetes = "k8s.io"

// stores are containerd's own stores in this process: its metadata database, content store, native snapshotter and
// event exchange. The wrappers around them count calls, and fail or wait on request of a test.
type stores struct {
	tb         testing.TB
	ctx        context.Context
	root       string
	content    content.Store
	images     images.Store
	containers containers.Store
	client     *client.Client

	calls  atomic.Int64
	listed atomic.Int64
	// markers were made to wait for events.
	markers atomic.Int64
	// sizes are reported instead of the real ones, so that no test writes 300 MiB.
	sizes map[digest.Digest]int64
	// kinds are reported of snapshots instead of the real ones: containerd makes no snapshot from one that is not
	// committed.
	kinds map[string]snapshots.Kind

	mu           sync.Mutex
	failing      func(call, argument string) error
	walkError    error
	afterList    func()
	lose         []context.CancelCauseFunc
	snapshotters map[string]snapshots.Snapshotter
	plugins      []string
	remote       string // the snapshotter that is remote
}

func newStores(tb testing.TB) *stores {
	tb.Helper()
	return newStoresWith(tb, exchange.NewExchange())
}

func newStoresWith(tb testing.TB, bus client.EventService) *stores {
	tb.Helper()
	s := &stores{
		tb: tb, ctx: namespaces.WithNamespace(tb.Context(), kubernetes), root: tb.TempDir(),
		sizes: map[digest.Digest]int64{}, snapshotters: map[string]snapshots.Snapshotter{},
	}
	blobs, err := local.NewStore(filepath.Join(s.root, "content"))
	must(tb, err)
	bolt, err := bbolt.Open(filepath.Join(s.root, "meta.db"), 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	must(tb, err)
	tb.Cleanup(func() { must(tb, bolt.Close()) })
	backends := map[string]snapshots.Snapshotter{}
	for _, name := range []string{"first", "second"} {
		backends[name], err = native.NewSnapshotter(filepath.Join(s.root, name))
		must(tb, err)
		s.plugins = append(s.plugins, name)
	}
	db := metadata.NewDB(bolt, blobs, backends, metadata.WithEventsPublisher(bus))
	must(tb, db.Init(s.ctx))
	s.content, s.images = db.ContentStore(), metadata.NewImageStore(db)
	s.containers = metadata.NewContainerStore(db)
	for name := range backends {
		s.snapshotters[name] = db.Snapshotter(name)
	}
	counted := map[string]snapshots.Snapshotter{}
	for name, in := range s.snapshotters {
		counted[name] = countedSnapshotter{in, s, name}
	}
	s.client, err = client.New("", client.WithServices(
		client.WithContentStore(countedContent{s.content, s}),
		client.WithImageStore(countedImages{s.images, s}),
		client.WithContainerStore(countedContainers{s.containers, s}),
		client.WithEventService(losableEvents{bus, s}),
		client.WithSnapshotters(counted),
		client.WithIntrospectionService(fakeIntrospection{nil, s}),
	))
	must(tb, err)
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// origin returns a Containerd that looks at these stores and follows no events.
func (s *stores) origin() *origin.Containerd {
	s.tb.Helper()
	c := origin.New(s.client, kubernetes, slog.New(slog.DiscardHandler))
	s.tb.Cleanup(func() { must(s.tb, c.Close()) })
	return c
}

// following returns a Containerd that follows events, once it has read everything.
func (s *stores) following() *origin.Containerd {
	s.tb.Helper()
	c := s.origin()
	s.run(c)
	eventually(s.tb, "following", func() bool {
		state := c.State()
		return state.Following && state.Unread == 0
	})
	return c
}

// run runs c until the test ends.
func (s *stores) run(c *origin.Containerd) (stop func()) {
	ctx, cancel := context.WithCancel(s.tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		must(s.tb, <-ended)
	})
	s.tb.Cleanup(stop)
	return stop
}

// eventually waits for a condition. The race detector on a busy machine makes some of them late.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			tb.Fatalf("this never came: %s", what)
		case <-again.C:
		}
	}
}

// fail makes calls fail for which a function returns an error, until it is nil.
func (s *stores) fail(failing func(call, argument string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = failing
}

// waitAfterList delays the result of the next list until the function returns.
func (s *stores) waitAfterList(wait func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.afterList = wait
}

// holdReading has the next who reads a blob wait until proceed is closed, once begun is.
func (s *stores) holdReading(blob digest.Digest) (begun, proceed chan struct{}) {
	begun, proceed = make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	s.fail(func(call, argument string) error {
		if call == "ReaderAt" && argument == blob.String() {
			begin()
			<-proceed
		}
		return nil
	})
	return begun, proceed
}

func (s *stores) loseEvents() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lose := range s.lose {
		lose(errors.New("connection lost"))
	}
	s.lose = nil
}

// subscribed says whether there is a stream that could be lost.
func (s *stores) subscribed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lose) > 0
}

func (s *stores) call(name, argument string) error {
	s.calls.Add(1)
	s.mu.Lock()
	failing := s.failing
	s.mu.Unlock()
	if failing == nil {
		return nil
	}
	return failing(name, argument)
}

type countedContent struct {
	content.Store
	s *stores
}

func (c countedContent) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	if err := c.s.call("ReaderAt", desc.Digest.String()); err != nil {
		return nil, err
	}
	reader, err := c.Store.ReaderAt(ctx, desc)
	if size := c.s.sizes[desc.Digest]; err == nil && size != 0 {
		return pretended{reader, size, c.s.tb}, nil
	}
	return reader, err
}

func (c countedContent) Walk(ctx context.Context, f content.WalkFunc, filters ...string) error {
	c.s.mu.Lock()
	err := c.s.walkError
	c.s.mu.Unlock()
	if err != nil {
		return err
	}
	return c.Store.Walk(ctx, f, filters...)
}

// pretended says a size that no blob may have, and cannot be read.
type pretended struct {
	content.ReaderAt
	size int64
	tb   testing.TB
}

func (p pretended) Size() int64 { return p.size }

func (p pretended) ReadAt([]byte, int64) (int, error) {
	p.tb.Errorf("a blob of %d bytes was read", p.size)
	return 0, io.ErrUnexpectedEOF
}

type countedImages struct {
	images.Store
	s *stores
}

func (c countedImages) Get(ctx context.Context, name string) (images.Image, error) {
	if err := c.s.call("Get", name); err != nil {
		return images.Image{}, err
	}
	return c.Store.Get(ctx, name)
}

func (c countedImages) List(ctx context.Context, filters ...string) ([]images.Image, error) {
	c.s.listed.Add(1)
	if err := c.s.call("List", ""); err != nil {
		return nil, err
	}
	list, err := c.Store.List(ctx, filters...)
	c.s.mu.Lock()
	wait := c.s.afterList
	c.s.afterList = nil
	c.s.mu.Unlock()
	if wait != nil {
		wait()
	}
	return list, err
}

type countedContainers struct {
	containers.Store
	s *stores
}

func (c countedContainers) Get(ctx context.Context, id string) (containers.Container, error) {
	if err := c.s.call("Container", id); err != nil {
		return containers.Container{}, err
	}
	return c.Store.Get(ctx, id)
}

type countedSnapshotter struct {
	snapshots.Snapshotter
	s    *stores
	name string
}

func (c countedSnapshotter) Stat(ctx context.Context, key string) (snapshots.Info, error) {
	if err := c.s.call("Stat", c.name+" "+key); err != nil {
		return snapshots.Info{}, err
	}
	info, err := c.Snapshotter.Stat(ctx, key)
	if kind, ok := c.s.kinds[key]; ok {
		info.Kind = kind
	}
	return info, err
}

// losableEvents is an event service whose streams a test can end.
type losableEvents struct {
	client.EventService
	s *stores
}

func (l losableEvents) Subscribe(ctx context.Context, filters ...string) (<-chan *events.Envelope, <-chan error) {
	if err := l.s.call("Subscribe", ""); err != nil {
		lost := make(chan error, 1)
		lost <- err
		return nil, lost
	}
	ctx, lose := context.WithCancelCause(ctx)
	l.s.mu.Lock()
	l.s.lose = append(l.s.lose, lose)
	l.s.mu.Unlock()
	return l.EventService.Subscribe(ctx, filters...)
}

func (l losableEvents) Publish(ctx context.Context, topic string, event events.Event) error {
	if err := l.s.call("Publish", topic); err != nil {
		return err
	}
	return l.EventService.Publish(ctx, topic, event)
}

// fakeIntrospection lists snapshotters as plugins; a whole containerd would be needed for the real thing, which
// integration/origin has.
type fakeIntrospection struct {
	coreintrospection.Service
	s *stores
}

func (f fakeIntrospection) Plugins(context.Context, ...string) (*introspection.PluginsResponse, error) {
	if err := f.s.call("Plugins", ""); err != nil {
		return nil, err
	}
	response := &introspection.PluginsResponse{}
	for _, name := range slices.Sorted(slices.Values(f.s.plugins)) {
		exports := map[string]string{"root": "/var/lib/containerd"}
		if name == f.s.remote {
			exports["enable_remote_snapshot_annotations"] = "true"
		}
		response.Plugins = append(response.Plugins, &introspection.Plugin{ID: name, Exports: exports})
	}
	return response, nil
}

// corrupt changes the bytes of a blob on disk.
func (s *stores) corrupt(d digest.Digest) {
	s.tb.Helper()
	must(s.tb, overwrite(filepath.Join(s.root, "content", "blobs", d.Algorithm().String(), d.Encoded())))
}

// discard removes a blob from the content store.
func (s *stores) discard(d digest.Digest) {
	s.tb.Helper()
	must(s.tb, s.content.Delete(s.ctx, d))
}

// name makes an image-store name lead to a target.
func (s *stores) name(stored string, target ocispec.Descriptor) {
	s.tb.Helper()
	image := images.Image{Name: stored, Target: target}
	_, err := s.images.Create(s.ctx, image)
	if errdefs.IsAlreadyExists(err) {
		_, err = s.images.Update(s.ctx, image)
	}
	must(s.tb, err)
}

func (s *stores) unname(stored string) {
	s.tb.Helper()
	must(s.tb, s.images.Delete(s.ctx, stored))
}

var _ io.ReaderAt = pretended{}
