package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrNone reports that no supervisor runs.
var ErrNone = errors.New("no supervisor runs")

// State is what runs on a node. A process ID is 0 if that process does not run.
type State struct {
	Supervisor, Daemon int
}

// State returns what runs.
func (n *Node) State() (State, error) {
	supervisor, err := n.pid(supervisorLock)
	daemon, failed := n.pid(daemonLock)
	return State{supervisor, daemon}, errors.Join(err, failed)
}

func (n *Node) pid(lock string) (int, error) {
	process, err := holder(n.lock(lock))
	if process == nil {
		return 0, err
	}
	defer func() { _ = process.Release() }()
	return process.Pid, nil
}

// Find fails with [ErrNone] if no supervisor runs. It waits for one that is starting.
func (n *Node) Find(ctx context.Context) error { return n.signalSupervisor(ctx, 0) }

// Reload makes the daemon read its configuration again. It fails with [ErrNone] if no supervisor runs.
func (n *Node) Reload(ctx context.Context) error {
	return n.signalSupervisor(ctx, syscall.SIGHUP)
}

// Replace makes the daemon and the supervisor those of the program that is installed now, and waits until another
// daemon runs. It fails with [ErrNone] if no supervisor runs.
func (n *Node) Replace(ctx context.Context) error {
	before, err := n.State()
	if err != nil && !errors.Is(err, errStarting) {
		return err
	}
	if err := n.signalSupervisor(ctx, syscall.SIGUSR1); err != nil {
		return err
	}
	return until(ctx, "another daemon runs", func() (bool, error) {
		now, err := n.State()
		return now.Daemon != before.Daemon && now.Daemon != 0, err
	})
}

// Stop ends the supervisor and the daemon, and waits until they have ended.
func (n *Node) Stop(ctx context.Context) error {
	signalled := 0
	return until(ctx, "the supervisor and the daemon have ended", func() (bool, error) {
		// A daemon without a supervisor starts another one; if it cannot, it is ended here.
		for _, name := range []string{supervisorLock, daemonLock} {
			process, err := holder(n.lock(name))
			if err != nil {
				return false, err
			}
			if process == nil {
				continue
			}
			if process.Pid != signalled {
				signalled = process.Pid
				err = process.Signal(syscall.SIGTERM)
			}
			if errors.Is(err, os.ErrProcessDone) {
				err = nil
			}
			return false, errors.Join(err, process.Release())
		}
		return true, nil
	})
}

func (n *Node) signalSupervisor(ctx context.Context, number syscall.Signal) error {
	var process *os.Process
	err := until(ctx, "the supervisor has started", func() (started bool, err error) {
		process, err = holder(n.lock(supervisorLock))
		return err == nil, err
	})
	if err != nil {
		return err
	}
	if process == nil {
		return ErrNone
	}
	return errors.Join(process.Signal(number), process.Release())
}

// interval is how often a condition is checked.
const interval = 50 * time.Millisecond

// until waits until a condition is true. A process that is starting is waited for.
func until(ctx context.Context, what string, condition func() (bool, error)) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		done, err := condition()
		if err != nil && !errors.Is(err, errStarting) {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, errors.Join(ctx.Err(), err))
		case <-ticker.C:
		}
	}
}
