package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaces are entered in this order: after the one of mounts, no path means what it meant before. A container of a
// pod with hostPID is in the host's namespace of processes already.
func namespaces() []string { return []string{"cgroup", "ipc", "uts", "net", "mnt"} }

// searchPath is where programs are on any distribution.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Host is the machine that runs this process's container.
type Host struct {
	// process is the directory of the host's first process in /proc.
	process string
}

// OpenHost returns the host, or why this process cannot change it. proc is where the processes are: /proc.
func OpenHost(proc string) (*Host, error) {
	h := &Host{process: filepath.Join(proc, "1")}
	theirs, err := os.Readlink(filepath.Join(h.process, "ns", "mnt"))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: the container has to be privileged, and run as root", err)
	case err != nil:
		return nil, err
	}
	ours, err := os.Readlink(filepath.Join(proc, "self", "ns", "mnt"))
	if err != nil {
		return nil, err
	}
	if ours == theirs {
		return nil, errors.New("the host's processes are not visible: the pod needs hostPID: true; " +
			"on the host itself, use countersign install")
	}
	return h, nil
}

// Do calls a function in the namespaces of the host: paths are the host's, and so are the processes that it starts.
func (h *Host) Do(function func() error) error {
	result := make(chan error, 1)
	go func() {
		// The thread stays locked, so it ends with this goroutine: no other one ever runs in these namespaces.
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			result <- h.enter(function)
			return
		}
		// The first thread does not end, and /proc/self would be of the host. While this goroutine waits, another thread
		// is used.
		defer runtime.UnlockOSThread()
		result <- h.Do(function)
	}()
	return <-result
}

func (h *Host) enter(function func() error) error {
	var entered []*os.File
	defer func() {
		for _, namespace := range entered {
			_ = namespace.Close() // It was only read.
		}
	}()
	for _, name := range namespaces() {
		namespace, err := os.Open(filepath.Join(h.process, "ns", name))
		if err != nil {
			return fmt.Errorf("entering the host's namespaces: %w", err)
		}
		entered = append(entered, namespace)
	}
	// A thread that shares its root and working directory with others cannot change its mounts.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("entering the host's namespaces: %w", err)
	}
	for _, namespace := range entered {
		if err := unix.Setns(int(namespace.Fd()), 0); err != nil {
			return fmt.Errorf("entering the host's namespaces: %s: %w: the container has to be privileged",
				filepath.Base(namespace.Name()), err)
		}
	}
	return function()
}

// Systemd reports whether systemd runs on the host.
func (h *Host) Systemd() (runs bool, err error) {
	err = h.Do(func() error {
		_, err := os.Stat("/run/systemd/system")
		runs = err == nil
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return runs, err
}

// Run runs a program of the host until it ends.
func (h *Host) Run(command *exec.Cmd) error {
	command.Dir, command.Env = "/", []string{searchPath}
	err := h.Do(command.Start)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the file system of %s does not allow programs", err, filepath.Dir(command.Path))
	}
	if err != nil {
		return err
	}
	return command.Wait()
}
