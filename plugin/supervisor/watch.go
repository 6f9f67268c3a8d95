package supervisor

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Watch makes this process, which a supervisor has started, the daemon. When the supervisor has ended, another one is
// started. The returned function ends that, and must be called last: this process is the daemon until then.
func (n *Node) Watch(ctx context.Context, log *slog.Logger) (stop func(), err error) {
	lock, err := inherit()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	go n.watch(ctx, log)
	return func() { cancel(); runtime.KeepAlive(lock) }, nil
}

func (n *Node) watch(ctx context.Context, log *slog.Logger) {
	pause := time.Duration(0)
	for started := time.Now(); ; started = time.Now() {
		lock, err := acquire(n.lock(supervisorLock), true)
		// A supervisor that ends at once, each time, must not keep a processor busy.
		pause = nextPause(pause, time.Since(started))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err == nil {
			err = n.startSupervisor(lock)
		}
		if err == nil {
			log.WarnContext(ctx, "the supervisor has ended; another one is started")
			continue
		}
		log.ErrorContext(ctx, "no supervisor runs: if this daemon ends, no other one is started", "error", err)
	}
}

// startSupervisor starts a supervisor, and reaps it when it ends.
func (n *Node) startSupervisor(lock *os.File) error {
	command, err := n.start(lock, []string{"PATH=" + standardPath}, n.Supervise)
	if err != nil {
		return err
	}
	go func() { _ = command.Wait() }()
	return nil
}

// keepOnExec makes the lock stay open in the program that replaces this one.
func keepOnExec(lock *os.File) error {
	_, err := unix.FcntlInt(lock.Fd(), unix.F_SETFD, 0)
	return err
}
