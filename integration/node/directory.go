package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Directories are created in base, not in $TMPDIR, because the path of a unix socket has at most 107 bytes, and
// containerd refuses a directory of more than 42 bytes for the sockets of its shims.
const (
	base   = "/tmp"
	prefix = "countersign-"
	// owner is the file that the process locks: the kernel releases the lock when the process ends.
	owner = "owner"
)

// directory is a temporary directory with a lock that shows whether its process is alive.
type directory struct {
	path string
	lock *os.File
}

// newDirectory makes a directory. It locks the file before it renames it to the name that [Sweep] looks for.
func newDirectory() (*directory, error) {
	path, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	lock, err := os.Create(filepath.Join(path, owner+".new"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a lock: %w", err), os.RemoveAll(path))
	}
	d := &directory{path: path, lock: lock}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", lock.Name(), err), d.remove())
	}
	if err := os.Rename(lock.Name(), filepath.Join(path, owner)); err != nil {
		return nil, errors.Join(fmt.Errorf("naming a lock: %w", err), d.remove())
	}
	return d, nil
}

func (d *directory) join(elements ...string) string {
	return filepath.Join(append([]string{d.path}, elements...)...)
}

// write writes a file below the directory atomically.
func (d *directory) write(name string, contents []byte) error {
	path := d.join(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return replace(path, contents)
}

// replace writes a file under another name and renames it, so a reader sees either the old or the new contents.
func replace(path string, contents []byte) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temporary, contents, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// remove ends the processes of the directory, unmounts everything below it and deletes it. It releases the lock last,
// so if it is interrupted, Sweep still finds the directory.
func (d *directory) remove() error {
	problem := endAll(d.path)
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return errors.Join(problem, fmt.Errorf("removing %s: %w", d.path, err))
	}
	for _, entry := range entries {
		if entry.Name() == owner {
			continue
		}
		problem = errors.Join(problem, os.RemoveAll(d.join(entry.Name())))
	}
	if problem != nil {
		return errors.Join(problem, d.lock.Close())
	}
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}

// Sweep removes directories of killed processes: those that no process has locked. [Boot] and [StartRegistry] call it
// first.
func Sweep() error {
	found, err := filepath.Glob(filepath.Join(base, prefix+"*", owner))
	if err != nil {
		return fmt.Errorf("looking for abandoned directories: %w", err)
	}
	var problem error
	for _, path := range found {
		problem = errors.Join(problem, sweep(path))
	}
	return problem
}

func sweep(path string) error {
	lock, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil // Its process or another sweep has just removed it, or it belongs to another user.
	}
	if err != nil {
		return fmt.Errorf("sweeping: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return lock.Close()
	}
	abandoned := &directory{path: filepath.Dir(path), lock: lock}
	if err := abandoned.remove(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sweeping %s: %w", abandoned.path, err)
	}
	return nil
}
