package evidence

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/fetch"
)

// Config says where evidence is kept and how it is fetched.
type Config struct {
	// Directory is where evidence is kept. One that cannot be used costs network, not verdicts: evidence is then kept
	// in memory.
	Directory string
	// MaxSize bounds what is stored in Directory, in bytes.
	MaxSize int64
	// Exclusive has Open fail where the directory cannot be used: with [ErrLocked] where another process works in it.
	Exclusive bool
	// Fetcher fetches it. Nil: one without any configuration.
	Fetcher *fetch.Fetcher
	// Panicked is told of panics in a fetch, which is then one that failed. It may be nil.
	Panicked policy.PanicFunc
	// Logger is told what an operator should know. Nil: nobody is.
	Logger *slog.Logger
}

// Keeper keeps the evidence of one node and fetches what is lacking. It must be closed.
type Keeper struct {
	log      *slog.Logger
	fetch    fetchFunc
	panicked policy.PanicFunc
	// fetcher is nil where a test looks for itself.
	fetcher  *fetch.Fetcher
	disk     *volume
	lock     *os.File
	overflow overflow

	generation atomic.Uint64
	health     health

	// changing is held from reading what is held to writing and entering what takes its place. It is locked before mu.
	changing sync.Mutex

	mu      sync.Mutex
	entries map[key]*entry
	// recent has the entries in the order of their use, the least recently used first.
	recent  *list.List
	watched map[*entry]struct{}
	// failing are the registries that did not answer the last time.
	failing map[string]struct{}
	// paused says until when a registry has asked to be left alone, and manyPaused how many are looked through.
	paused     map[string]time.Time
	manyPaused int
	queue      queue

	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{}
	running sync.WaitGroup
}

// Open returns a Keeper at work. It fails for a configuration that makes no sense, and else only as that asks for.
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
	if config.Directory == "" {
		return nil, errors.New("opening the evidence store: no directory is named")
	}
	if config.MaxSize <= 0 {
		return nil, errors.New("opening the evidence store: its maximal size must be more than nothing")
	}
	k := &Keeper{
		log:   config.Logger,
		fetch: fetchEvidence, panicked: config.Panicked,
		entries: map[key]*entry{},
		recent:  list.New(),
		watched: map[*entry]struct{}{},
		failing: map[string]struct{}{},
		paused:  map[string]time.Time{}, manyPaused: fewPaused,
		queue: newQueue(),
		wake:  make(chan struct{}, 1),
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	removeAbandoned()
	var err error
	if k.disk, k.lock, err = openVolume(config.Directory, config.MaxSize); err != nil && config.Exclusive {
		return nil, fmt.Errorf("opening the evidence store: %w", err)
	}
	if err != nil {
		k.log.Error("evidence is kept in memory only, and is lost at a restart", "error", err)
		k.health.failure, k.health.since = err, now()
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.running.Go(k.watch)
	if k.disk != nil {
		k.running.Go(func() {
			_ = policy.Guard("the sweep of the evidence store", k.panicked, func() error { k.disk.sweep(k.ctx); return nil })
			// What it found to be removed has a time, which watch does not know of yet.
			k.nudge()
		})
	}
	return k, nil
}

// Close ends all fetching, waits for it, and removes what was kept in memory. What is kept on disk can still be
// read by [Keeper.Kept], which fetches no more.
func (k *Keeper) Close() {
	k.cancel()
	k.mu.Lock()
	k.queue.close()
	k.mu.Unlock()
	k.running.Wait()
	for _, v := range k.volumes() {
		v.reap(time.Now(), true)
	}
	k.overflow.close()
	if k.lock != nil {
		_ = k.lock.Close()
		k.lock = nil
	}
}

// Fetcher returns what fetches evidence.
func (k *Keeper) Fetcher() *fetch.Fetcher { return k.fetcher }

// Generation changes whenever any evidence does. It belongs to this process and is no use to another.
func (k *Keeper) Generation() uint64 { return k.generation.Load() }

// volumes returns those there are, the one in memory first: it has what could not replace what is on disk.
func (k *Keeper) volumes() []*volume {
	var all []*volume
	if v := k.overflow.existing(); v != nil {
		all = append(all, v)
	}
	if k.disk != nil {
		all = append(all, k.disk)
	}
	return all
}

// load returns what is held for a key, or nil.
func (k *Keeper) load(key key) *held {
	for _, v := range k.volumes() {
		if h, err := v.read(key); err == nil {
			return h
		}
	}
	return nil
}

// store keeps what was found: on disk, or where that fails in memory.
func (k *Keeper) store(key key, f *finding, decides bool) (*held, error) {
	f.fetchedAt = now()
	r := f.record(key)
	err := errNoDisk
	if k.disk != nil {
		var h *held
		if h, err = k.write(k.disk, key, update{record: r, content: f.content, decides: decides}); err == nil {
			if v := k.overflow.existing(); v != nil {
				v.drop(key)
			}
			return h, nil
		}
	}
	v, openErr := k.overflow.open()
	if openErr != nil {
		return nil, errors.Join(err, openErr)
	}
	h, overflowErr := k.write(v, key, update{record: r, content: f.content, decides: decides})
	if overflowErr != nil {
		return nil, errors.Join(err, overflowErr)
	}
	return h, nil
}

// errNoDisk says that there is no directory on disk to use.
var errNoDisk = errors.New("there is no evidence directory")

func (k *Keeper) write(v *volume, key key, u update) (*held, error) {
	h, evicted, err := v.write(key, u)
	if v == k.disk {
		k.health.note(err, k.log)
	}
	k.forget(v, evicted)
	return h, err
}

// forget takes from memory what a volume has dropped.
func (k *Keeper) forget(v *volume, keys []key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		if e, ok := k.entries[key]; ok && e.held != nil && e.held.volume == v {
			e.held = nil
			e.due = time.Time{}
			k.set(e, policy.Evidence{})
		}
	}
}
