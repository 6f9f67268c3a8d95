package files

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/policy"
)

// Config configures [Documents].
type Config struct {
	// System is the path of the system policy.
	System string
	// Cluster is the path of the cluster document, which need not exist. If it does, it applies to namespaces without a
	// document of their own, instead of the system policy. Empty: there is none.
	Cluster string
	// Directory contains the namespaces' documents. Empty: there are none.
	Directory string
	// StateFile records over restarts that Directory contained documents. Empty: nothing is recorded.
	StateFile string
	// ClusterStateFile records over restarts that Cluster existed. Empty: nothing is recorded.
	ClusterStateFile string
	// Canary is the document of the canaries, which is not a file.
	Canary policy.Source
	// Parse is called concurrently, and its documents are never modified.
	Parse policy.ParseFunc
	// Panicked is called for panics of Parse, which are that document's problem. It may be nil.
	Panicked policy.PanicFunc
	// Logger receives each problem once when it appears and once when it is resolved. Nil: nothing is logged.
	Logger *slog.Logger
	// Notify, if not nil, is called with every status that differs in more than LastGood. [Open] and [Documents.Run] wait
	// for it.
	Notify func(Status)
}

// Documents are the policy documents of a node. Create them with [Open].
type Documents struct {
	config Config
	timing timing

	set    atomic.Pointer[policy.Set]
	status atomic.Pointer[Status]

	// running is locked by the goroutine that scans, which is the only user of state.
	running sync.Mutex
	state   *state
}

// Open reads all documents. It never fails: a document that cannot be read or parsed denies, and [Documents.Status] has
// the cause. It writes nothing, so commands that only read may use it too. To follow changes, call [Documents.Run].
func Open(config Config) *Documents {
	return open(config, defaultTiming())
}

func open(config Config, pace timing) *Documents {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Documents{config: config, timing: pace, state: newState(config)}
	d.running.Lock()
	defer d.running.Unlock()
	d.scan(nil)
	return d
}

// Current returns the current snapshot, never nil. Unchanged documents are the same pointers in consecutive snapshots.
func (d *Documents) Current() *policy.Set { return d.set.Load() }

// Status returns the result of loading.
func (d *Documents) Status() Status { return *d.status.Load() }

// Run keeps the documents up to date until the context ends, and then returns nil. It fails only if it already runs.
func (d *Documents) Run(ctx context.Context) error {
	if !d.running.TryLock() {
		return errors.New("policy documents are being watched already")
	}
	defer d.running.Unlock()
	watch := newWatch()
	defer watch.close()
	for ctx.Err() == nil {
		wake := d.follow(watch)
		d.wait(ctx, watch, wake)
	}
	return nil
}

// follow checks all files, and checks again if directories were added to the watch list: changes before a watch was
// created caused no event. It returns when the next check is due.
func (d *Documents) follow(watch *watch) time.Time {
	const rounds = 5 // If directories change all the time, events arrive as often.
	var wake time.Time
	for range rounds {
		wake = d.scan(watch)
		if more := watch.set(d.state.watchList()); !more {
			break
		}
	}
	return wake
}

// scan checks every file, publishes the result and returns when the next check is due. Without a watch it is the first
// check, which does not write the state files.
func (d *Documents) scan(watch *watch) time.Time {
	now := time.Now()
	result := d.state.scan(now)
	var notes []error
	if watch != nil {
		directory, cluster := d.state.updateMarkers()
		notes = append(notes, watch.err, directory, cluster)
	}
	old := d.status.Load()
	status := d.state.report(old, now, len(result.changed) > 0, notes)
	if old == nil || len(result.changed) > 0 {
		d.set.Store(d.state.set())
	}
	d.status.Store(status)
	d.config.logChanges(old, status, result)
	if d.config.Notify != nil && status.differs(old) {
		d.config.Notify(*status)
	}
	return d.timing.nextCheck(now, result, watch != nil && watch.err != nil)
}
