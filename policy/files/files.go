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

// Config says where documents are and who is told of them.
type Config struct {
	// System is the path of the system's document.
	System string
	// Directory holds the namespaces' documents. Empty: there are none.
	Directory string
	// StateFile remembers over restarts that Directory held documents. Empty: nothing is remembered.
	StateFile string
	// Parse is called by several goroutines at once, and its documents are not written to by anyone.
	Parse policy.ParseFunc
	// Panicked is told of panics of Parse, which are that document's problem. It may be nil.
	Panicked policy.PanicFunc
	// Logger gets each problem once when it appears and once when it is gone. Nil: nothing is logged.
	Logger *slog.Logger
	// Notify, where not nil, is called with every new status, but for its LastGood alone. [Open] and [Documents.Run]
	// wait for it.
	Notify func(Status)
}

// Documents are the policy documents of a node. Make them with [Open].
type Documents struct {
	config Config
	pace   pace

	set    atomic.Pointer[policy.Set]
	status atomic.Pointer[Status]

	// running is held by the one who scans, which is all that touches state.
	running sync.Mutex
	state   *state
}

// Open reads all documents. It does not fail: what cannot be read or parsed denies, and [Documents.Status] says why.
// It writes nothing, so that commands which only look may use it as well. To follow changes, call [Documents.Run].
func Open(config Config) *Documents {
	return open(config, defaultPace())
}

func open(config Config, pace pace) *Documents {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Documents{config: config, pace: pace, state: newState(config)}
	d.running.Lock()
	defer d.running.Unlock()
	d.scan(nil)
	return d
}

// Current returns the newest snapshot, never nil. A document that did not change is the same pointer in the next one.
func (d *Documents) Current() *policy.Set { return d.set.Load() }

// Status returns how loading went.
func (d *Documents) Status() Status { return *d.status.Load() }

// Run keeps the documents up to date until the context ends, which is no error. It fails only when it runs already.
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

// follow looks at everything, and again if there was more to watch than was being watched: what changed before a
// watch was in place gave no hint. It returns when to look again at the latest.
func (d *Documents) follow(watch *watch) time.Time {
	const rounds = 5 // Where directories come and go all the time, hints come as often.
	var wake time.Time
	for range rounds {
		wake = d.scan(watch)
		if more := watch.set(d.state.places()); !more {
			break
		}
	}
	return wake
}

// scan looks at every file, publishes what came of it and returns when to look again at the latest. Without a watch it
// is the first look, which does not write the state file.
func (d *Documents) scan(watch *watch) time.Time {
	now := time.Now()
	result := d.state.scan(now)
	var notes []error
	if watch != nil {
		notes = append(notes, watch.err, d.state.remember())
	}
	old := d.status.Load()
	status := d.state.report(old, now, len(result.changed) > 0, notes)
	if old == nil || len(result.changed) > 0 {
		d.set.Store(d.state.set())
	}
	d.status.Store(status)
	d.config.tell(old, status, result)
	if d.config.Notify != nil && status.differs(old) {
		d.config.Notify(*status)
	}
	return d.pace.wake(now, result, watch != nil && watch.err != nil)
}
