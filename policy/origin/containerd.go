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
// concurrently. Without [Containerd.Run] each question lists the image store.
type Containerd struct {
	client    *client.Client
	namespace string
	log       *slog.Logger
	panicked  policy.PanicFunc
	owned     bool
	// allowRemote reports whether containers on remote snapshotters are evaluated; nil: they are refused.
	allowRemote func() bool

	images *imageCache
	blobs  *lru.Cache[digest.Digest, []byte]
	filter contentFilter
	stats  snapshotters
	// prepared are the snapshots about which nobody asked yet.
	prepared preparedSnapshots
	relists  relists
	// checkpoints are those that confirmations wait for.
	checkpoints checkpoints
	reads       queue
	// parsing is held while a large document is parsed: one at a time.
	parsing sync.Mutex

	// ending is cancelled to end the background work, for which Close waits.
	ending     context.Context
	end        context.CancelFunc
	background sync.WaitGroup
	closing    sync.Mutex
	closed     bool
}

// Open returns a [Containerd] for the containerd at a unix socket. It does not wait for containerd: while containerd is
// unreachable, questions are refused as unavailable. panicked receives panics in the background, which count as failed
// reads; it may be nil.
func Open(address, namespace string, log *slog.Logger, panicked policy.PanicFunc) (*Containerd, error) {
	connection := grpc.WithConnectParams(grpc.ConnectParams{
		// By default the client waits up to ten seconds before it reconnects to a restarted containerd.
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

// New returns a [Containerd] that uses a client, which the caller closes.
func New(c *client.Client, namespace string, log *slog.Logger) *Containerd {
	ending, end := context.WithCancel(context.Background())
	return &Containerd{
		client:    c,
		namespace: namespace,
		log:       log,
		images:    newImageCache(),
		blobs:     newBlobCache(),
		filter:    newContentFilter(),
		prepared:  newPreparedSnapshots(),
		relists:   newRelists(),
		reads:     newQueue(),
		ending:    ending,
		end:       end,

		checkpoints: newCheckpoints(),
	}
}

// AllowRemoteSnapshotters sets whether containers and image volumes are evaluated if a remote snapshotter fetches their
// files on demand. Call it before the first question.
func (c *Containerd) AllowRemoteSnapshotters(allow func() bool) { c.allowRemote = allow }

// Close ends the background work and waits for it. Later questions are refused.
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
		_ = policy.Guard("receiving containerd's events", c.panicked, func() error { f(c.in(c.ending)); return nil })
	})
	return true
}

// in returns a context with the containerd namespace.
func (c *Containerd) in(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, c.namespace)
}

// Generation changes whenever an answer of [Containerd.Image] or [Containerd.Volume] could change. Read it before you
// ask the question: then an answer that is cached under it is never stale. Without events any answer could change at
// any time, so no two calls return the same value.
func (c *Containerd) Generation() uint64 {
	if !c.images.following.Load() {
		return c.images.generation.Add(1)
	}
	return c.images.generation.Load()
}

// State is the data for health checks and metrics.
type State struct {
	// Following reports whether containerd's events are received, so that answers come from the cache.
	Following bool
	// Names is the number of cached image-store names, and Images of config digests.
	Names, Images int
	// Unread is the number of targets that have not been read yet, and Unreadable of those that could not be read in
	// full.
	Unread, Unreadable int
}

// Complete reports whether all images on this node are known.
func (s State) Complete() bool { return s.Following && s.Unread == 0 }

// State returns the current state.
func (c *Containerd) State() State { return c.images.state() }
