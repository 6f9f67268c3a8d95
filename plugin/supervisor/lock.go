package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The files that the processes lock. Each has the process ID of its holder.
const (
	supervisorLock = "supervisor.lock"
	daemonLock     = "daemon.lock"
)

// inheritedLock is the descriptor of the lock that a process receives from the one that starts it.
const inheritedLock = 3

// errHeld reports that another process holds a lock.
var errHeld = errors.New("another process holds the lock")

// errStarting reports that the holder of a lock has not written its process ID yet.
var errStarting = errors.New("the process is starting")

// acquire locks a file; if another process holds it, acquire fails with errHeld, or waits. The lock belongs to the open
// file, so a process that inherits it holds it too (fcntl(2): open file description locks).
func acquire(path string, wait bool) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	command := unix.F_OFD_SETLK
	if wait {
		command = unix.F_OFD_SETLKW
	}
	for {
		err = unix.FcntlFlock(file.Fd(), command, &unix.Flock_t{Type: unix.F_WRLCK})
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = errHeld
	}
	if err == nil {
		err = file.Truncate(0) // The holder before has ended, and its process ID may be another process's by now.
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), file.Close())
	}
	return file, nil
}

// inherit takes over the lock that this process has received, and writes down who holds it.
func inherit() (*os.File, error) {
	unix.CloseOnExec(inheritedLock)
	file := os.NewFile(inheritedLock, "lock")
	if err := file.Truncate(0); err != nil {
		return nil, fmt.Errorf("this process has received no lock: %w", err)
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, fmt.Errorf("writing to the lock: %w", err)
	}
	return file, nil
}

// holder returns the process that holds a lock; nil: none does. The caller must release it.
func holder(path string) (*os.Process, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // No process has locked it since the host was booted.
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if held, err := held(file); err != nil || !held {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, errStarting
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	// If the lock is still held by the process that it names, the handle is that process's.
	after, err := os.ReadFile(path)
	if held, failed := held(file); err != nil || failed != nil || !held || string(after) != string(text) {
		return nil, errors.Join(errStarting, err, failed, process.Release())
	}
	return process, nil
}

// held reports whether a process holds the lock of a file, without acquiring it.
func held(file *os.File) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false, fmt.Errorf("reading the lock of %s: %w", file.Name(), err)
	}
	return lock.Type != unix.F_UNLCK, nil
}
