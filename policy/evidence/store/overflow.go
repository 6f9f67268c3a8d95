package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// overflowLimit limits what is stored in memory while the disk cannot be written, in bytes.
	overflowLimit = 32 << 20
	// overflowPrefix begins the names of the directories in memory.
	overflowPrefix = "countersign-evidence-"
)

// overflow is the volume in memory. It is created when it is first needed.
type overflow struct {
	mu     sync.Mutex
	volume *volume
	lock   *os.File
	closed bool
}

// existing returns the volume if there is one.
func (o *overflow) existing() *volume {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.volume
}

// open returns the volume, which it creates if there is none.
func (o *overflow) open() (*volume, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.volume != nil {
		return o.volume, nil
	}
	if o.closed {
		return nil, os.ErrClosed
	}
	directory, lock, err := lockedDirectory()
	if err != nil {
		return nil, fmt.Errorf("storing evidence in memory: %w", err)
	}
	o.volume, o.lock = newVolume(filepath.Join(directory, versionDirectory), overflowLimit), lock
	return o.volume, nil
}

// remove removes what the volume has for a key, if there is a volume.
func (o *overflow) remove(k Key) {
	if v := o.existing(); v != nil {
		v.remove(k)
	}
}

// close removes the volume.
func (o *overflow) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.volume == nil {
		return
	}
	removeAll(filepath.Dir(o.volume.root))
	_ = o.lock.Close()
	o.volume = nil
}

// lockedDirectory makes a directory in memory that is locked until the file is closed. The start of another process
// takes a directory that is not locked yet for abandoned, and removes it: then another is made.
func lockedDirectory() (directory string, lock *os.File, err error) {
	for range mostDirectories {
		if directory, err = os.MkdirTemp(memoryDirectory(), overflowPrefix); err != nil {
			return "", nil, err
		}
		if lock, err = lockDirectory(directory); err == nil {
			if err = checkPlace(lock, directory); err == nil {
				return directory, lock, nil
			}
			_ = lock.Close()
		}
		if !errors.Is(err, ErrLocked) && !errors.Is(err, fs.ErrNotExist) {
			return "", nil, errors.Join(err, os.Remove(directory))
		}
	}
	return "", nil, err
}

// mostDirectories is how many directories are made for one that is not removed.
const mostDirectories = 100

// checkPlace returns [fs.ErrNotExist] if a directory was removed before it was locked.
func checkPlace(lock *os.File, directory string) error {
	locked, err := lock.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(directory)
	if err != nil {
		return err
	}
	if !os.SameFile(locked, there) {
		return fs.ErrNotExist
	}
	return nil
}

// memoryDirectory returns a directory in memory, or else the system's directory for temporary files.
func memoryDirectory() string {
	const shared = "/dev/shm"
	var st unix.Statfs_t
	if unix.Statfs(shared, &st) == nil && st.Type == unix.TMPFS_MAGIC && unix.Access(shared, unix.W_OK) == nil {
		return shared
	}
	return os.TempDir()
}

// removeAbandoned removes the overflow directories of this user's processes that have ended.
func removeAbandoned() {
	abandoned, err := filepath.Glob(filepath.Join(memoryDirectory(), overflowPrefix+"*"))
	if err != nil {
		return
	}
	for _, directory := range abandoned {
		var st unix.Stat_t
		if unix.Lstat(directory, &st) != nil || int64(st.Uid) != int64(os.Geteuid()) {
			continue
		}
		lock, err := lockDirectory(directory)
		if err != nil {
			continue
		}
		removeAll(directory)
		_ = lock.Close()
	}
}
