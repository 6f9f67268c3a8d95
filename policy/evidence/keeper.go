package evidence

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/store"
)

// Config describes a [Keeper].
type Config struct {
	// Directory is where evidence is stored. If it cannot be used, evidence is stored in memory: that costs network
	// requests, and no verdict changes.
	Directory string
	// MaxSize limits what is stored in Directory, in bytes.
	MaxSize int64
	// Exclusive has Open fail if the directory cannot be used: with [store.ErrLocked] if another process uses it.
	Exclusive bool
	// Fetcher fetches it. Nil: one without any configuration.
	Fetcher *fetch.Fetcher
	// Named reports whether a policy document names a registry in a scope: its fetches come before those from registries
	// of which nothing is known. It is called for each fetch, must not block, and may be nil: none is named.
	Named func(registry string) bool
	// Predicates returns the predicate types of the attestations that are fetched of images of a repository. It is called
	// for each lookup, must not block, and may be nil: none are.
	Predicates func(repository reference.Named) policy.Predicates
	// Panicked receives panics in a fetch, which then counts as failed. It may be nil.
	Panicked policy.PanicFunc
	// Logger receives what an operator should know. Nil: nothing is logged.
	Logger *slog.Logger
}

// Keeper looks up, fetches, imports and expires the evidence of one node. It must be closed.
type Keeper struct {
	log      *slog.Logger
	fetch    fetchFunc
	panicked policy.PanicFunc
	// predicates returns the predicate types of the attestations that are fetched.
	predicates func(reference.Named) policy.Predicates
	// fetcher is nil in tests that replace fetch.
	fetcher *fetch.Fetcher
	store   *store.Store

	generation atomic.Uint64

	// changing is locked while stored evidence is read and replaced. It is locked before mu.
	changing sync.Mutex

	mu      sync.Mutex
	entries map[store.Key]*entry
	// recent has the entries in the order of their use, the least recently used first.
	recent *list.List
	// watched are the entries that are fetched again until they suffice.
	watched map[*entry]struct{}
	// unrecorded are the entries with satisfactions that wait to be recorded, and recording reports whether a goroutine
	// records them.
	unrecorded []*entry
	recording  bool
	// screening is held while one file is judged by the checks of callers that wait.
	screening sync.Mutex
	queue     queue

	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{}
	running sync.WaitGroup
}

// Open returns a running Keeper. It fails if the configuration is invalid, or as [Config.Exclusive] requires.
func Open(config Config) (*Keeper, error) {
	fetcher := config.Fetcher
	if fetcher == nil {
		fetcher = fetch.New(fetch.Config{})
	}
	k, err := open(config, fetcher.Fetch)
	if err != nil {
		return nil, err
	}
	k.fetcher = fetcher
	return k, nil
}

func open(config Config, fetchEvidence fetchFunc) (*Keeper, error) {
	k := &Keeper{
		log:   config.Logger,
		fetch: fetchEvidence, panicked: config.Panicked, predicates: config.Predicates,
		entries: map[store.Key]*entry{},
		recent:  list.New(),
		watched: map[*entry]struct{}{},
		queue:   newQueue(config.Named),
		wake:    make(chan struct{}, 1),
	}
	if k.predicates == nil {
		k.predicates = func(reference.Named) policy.Predicates { return "" }
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	var err error
	k.store, err = store.Open(store.Config{
		Directory: config.Directory, MaxSize: config.MaxSize, Exclusive: config.Exclusive, Logger: k.log,
	})
	if err != nil {
		return nil, err
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.running.Go(k.watch)
	k.running.Go(func() {
		_ = policy.Guard("the sweep of the evidence store", k.panicked, func() error { k.store.Sweep(k.ctx); return nil })
		// watch does not know yet when the files are due that the sweep found.
		k.nudge()
	})
	return k, nil
}

// Close ends all fetches, waits for them, and removes what is stored in memory. [Keeper.Lookup] can still read what is
// on disk; it starts no fetches any more.
func (k *Keeper) Close() {
	k.cancel()
	k.mu.Lock()
	k.queue.close()
	k.mu.Unlock()
	k.running.Wait()
	k.store.Close()
}

// Fetcher returns what fetches evidence.
func (k *Keeper) Fetcher() *fetch.Fetcher { return k.fetcher }

// Generation changes whenever any evidence does. It has no meaning in another process.
func (k *Keeper) Generation() uint64 { return k.generation.Load() }

// StoreProblem returns why evidence is not stored on disk, and since when; nil: the last write succeeded. Meanwhile,
// fetched evidence is stored in memory and lost at a restart, and imports are refused.
func (k *Keeper) StoreProblem() error { return k.store.Problem() }

// StoredBytes returns how much evidence is stored, on disk and in memory, in bytes counted in blocks of 4 KiB.
func (k *Keeper) StoredBytes() int64 { return k.store.Size() }

// put stores what was fetched.
func (k *Keeper) put(key store.Key, content store.Content, needed bool) (*store.Set, error) {
	content.FetchedAt = now()
	set, removed, err := k.store.Put(key, content, needed)
	k.forget(removed)
	return set, err
}

// forget removes from memory what the store has removed.
func (k *Keeper) forget(removed []store.Removed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range removed {
		if e, ok := k.entries[r.Key]; ok && r.Contains(e.stored) {
			e.stored = nil
			e.due = time.Time{}
			k.set(e, policy.Evidence{})
		}
	}
}

// now returns the time as it is stored.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
