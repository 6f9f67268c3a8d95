package origin

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/lru"
)

// Containerd answers from the stores of one containerd, in one of its namespaces. Its methods may be called
// concurrently, and also before or without [Containerd.Run]: then every question is looked up.
type Containerd struct {
	client    *client.Client
	namespace string
	log       *slog.Logger
	panicked  policy.PanicFunc
	owned     bool
	// allowRemote reports whether containers on remote snapshotters are evaluated; nil: they are refused.
	allowRemote func() bool

	memory *memory
	blobs  *lru.Cache[digest.Digest, []byte]
	stats  snapshotters
	looks  looks
	reads  queue

	// ending ends what goes on in the background, and background is what Close waits for.
	ending     context.Context
	end        context.CancelFunc
	background sync.WaitGroup
	closing    sync.Mutex
	closed     bool
}

// Open returns a [Containerd] for the containerd at a unix socket. It does not wait for containerd: while that is not
// there, questions are refused as unavailable, and once it is there, or there again, they are answered. panicked is
// told of panics in the background, which are failures to read what was being read; it may be nil.
func Open(address, namespace string, log *slog.Logger, panicked policy.PanicFunc) (*Containerd, error) {
	connection := grpc.WithConnectParams(grpc.ConnectParams{
		// The client's own parameters let ten seconds pass before it tries a restarted containerd again.
		Backoff: backoff.Config{
			BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
		},
		MinConnectTimeout: 5 * time.Second,
	})
	c, err := client.New(address,
		client.WithDefaultNamespace(namespace), client.WithExtraDialOpts([]grpc.DialOption{connection}))
	if err != nil {
		return nil, fmt.Errorf("making a client of containerd at %s: %w", address, err)
	}
	opened := New(c, namespace, log)
	opened.owned, opened.panicked = true, panicked
	return opened, nil
}

// New returns a [Containerd] that uses a client, which stays the caller's to close.
func New(c *client.Client, namespace string, log *slog.Logger) *Containerd {
	ending, end := context.WithCancel(context.Background())
	return &Containerd{
		client:    c,
		namespace: namespace,
		log:       log,
		memory:    newMemory(),
		blobs:     newBlobCache(),
		looks:     newLooks(),
		reads:     newQueue(),
		ending:    ending,
		end:       end,
	}
}

// AllowRemoteSnapshotters sets whether containers and image volumes are evaluated whose files a snapshotter fetches
// when they are read. It is called before the first question.
func (c *Containerd) AllowRemoteSnapshotters(allow func() bool) { c.allowRemote = allow }

// Close ends what goes on in the background and waits for it. Questions asked afterwards are refused.
func (c *Containerd) Close() error {
	c.closing.Lock()
	c.closed = true
	c.closing.Unlock()
	c.end()
	c.background.Wait()
	if !c.owned {
		return nil
	}
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("closing the client of containerd: %w", err)
	}
	return nil
}

// start runs f in the background, unless Close was called.
func (c *Containerd) start(f func(context.Context)) bool {
	c.closing.Lock()
	defer c.closing.Unlock()
	if c.closed {
		return false
	}
	c.background.Go(func() {
		_ = policy.Guard("following containerd", c.panicked, func() error { f(c.in(c.ending)); return nil })
	})
	return true
}

// in returns the context in which containerd's stores are those of our namespace.
func (c *Containerd) in(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, c.namespace)
}

// Generation changes whenever an answer of [Containerd.Image] or [Containerd.Volume] could change. It is read before
// the question is asked: then an answer kept under it is never kept too long. While events are not followed any answer
// could change at any time, so no two calls return the same.
func (c *Containerd) Generation() uint64 {
	if !c.memory.following.Load() {
		return c.memory.generation.Add(1)
	}
	return c.memory.generation.Load()
}

// State is what a health check or a metric wants to know.
type State struct {
	// Following says that containerd's events are followed, so that known images are answered for from memory.
	Following bool
	// Names is how many image-store names are in memory, and Images how many config digests.
	Names, Images int
	// Unread is how many targets of names are still to be read, and Unreadable how many were read in part or not at
	// all.
	Unread, Unreadable int
}

// Complete reports whether all images on this node are known.
func (s State) Complete() bool { return s.Following && s.Unread == 0 }

// State returns the present state.
func (c *Containerd) State() State { return c.memory.state() }
