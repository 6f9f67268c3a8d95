//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/integration/node"
)

var errNoDaemon = errors.New("the daemon does not run")

// killed ends when the daemon is dead. That it is restarted is part of the recovery.
func killed(ctx context.Context, l *lab) error {
	pause(ctx, between)
	l.daemon.Kill()
	return nil
}

// stoppedFor returns a fault that stops the daemon, as a debugger does, or a hypervisor that is short of processors.
func stoppedFor(d time.Duration) step {
	return func(ctx context.Context, l *lab) error {
		pause(ctx, between)
		process := l.daemon.Process()
		if process == nil {
			return errNoDaemon
		}
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			return fmt.Errorf("stopping the daemon: %w", err)
		}
		pause(ctx, d)
		if err := process.Signal(syscall.SIGCONT); err != nil {
			return fmt.Errorf("continuing the daemon: %w", err)
		}
		return nil
	}
}

// starve leaves the daemon one hundredth of a processor.
func starve(_ context.Context, l *lab) error { return l.daemon.limits.setCPU(10) }

func feed(_ context.Context, l *lab) error { return l.daemon.limits.setCPU(0) }

// outOfDescriptors leaves the daemon those that it has.
func outOfDescriptors(ctx context.Context, l *lab) error {
	process := l.daemon.Process()
	if process == nil {
		return errNoDaemon
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", process.Pid))
	if err != nil {
		return fmt.Errorf("counting descriptors: %w", err)
	}
	var before unix.Rlimit
	if err := unix.Prlimit(process.Pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		return fmt.Errorf("reading the limit of descriptors: %w", err)
	}
	none := unix.Rlimit{Cur: uint64(len(open)), Max: before.Max}
	if err := unix.Prlimit(process.Pid, unix.RLIMIT_NOFILE, &none, nil); err != nil {
		return fmt.Errorf("limiting descriptors: %w", err)
	}
	pause(ctx, hold)
	err = unix.Prlimit(process.Pid, unix.RLIMIT_NOFILE, &before, nil)
	if err != nil && l.daemon.Process() == process {
		return fmt.Errorf("restoring the limit of descriptors: %w", err)
	}
	return nil
}

// tooLittle is less memory than the daemon needs to start, in MiB.
const tooLittle = 12

// outOfMemory has the kernel kill the daemon, which then cannot start as long as the memory does not suffice.
func outOfMemory(ctx context.Context, l *lab) error {
	pause(ctx, between)
	// A kernel may refuse a limit below what is used, and then the daemon has to go first. It is restarted meanwhile.
	err := node.Until(ctx, "a limit of memory", func(context.Context) error {
		err := l.daemon.limits.setMemory(tooLittle)
		if err != nil {
			l.daemon.Kill()
		}
		return err
	})
	if err != nil {
		return err
	}
	l.daemon.Kill()
	pause(ctx, hold)
	return l.daemon.limits.setMemory(0)
}
