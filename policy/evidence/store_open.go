package evidence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// overflowLimit bounds what is stored in memory for want of a disk, in bytes.
	overflowLimit = 32 << 20
	// overflowPrefix begins the names of the directories in memory.
	overflowPrefix = "countersign-evidence-"
)

// openVolume creates the directory of this version and locks it against other processes.
func openVolume(directory string, limit int64) (*volume, *os.File, error) {
	root := filepath.Join(directory, versionDirectory)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, nil, fmt.Errorf("creating the evidence directory: %w", err)
	}
	if err := os.Chmod(root, 0o700); err != nil {
		return nil, nil, fmt.Errorf("closing the evidence directory to others: %w", err)
	}
	lock, err := lockDirectory(root)
	if err != nil {
		return nil, nil, err
	}
	return newVolume(root, limit), lock, nil
}

// ErrLocked says that another process works in a directory.
var ErrLocked = errors.New("another process works in it")

// lockDirectory locks a directory for as long as the file it returns is open. The kernel frees the lock when the
// process ends, however that comes about.
func lockDirectory(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, ErrLocked), f.Close())
	}
	// A file system without locks is used without.
	return f, nil
}

// overflow is the volume in memory. It comes into being when it is first needed.
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
	directory, err := os.MkdirTemp(memoryDirectory(), overflowPrefix)
	if err != nil {
		return nil, fmt.Errorf("keeping evidence in memory: %w", err)
	}
	// Whoever cleans up after killed processes locks first, and may have come between the two lines above.
	lock, err := lockDirectory(directory)
	if err != nil {
		return nil, fmt.Errorf("keeping evidence in memory: %w", err)
	}
	o.volume, o.lock = newVolume(filepath.Join(directory, versionDirectory), overflowLimit), lock
	return o.volume, nil
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

// memoryDirectory returns a directory that is in memory, or else the system's for temporary files.
func memoryDirectory() string {
	const shared = "/dev/shm"
	var st unix.Statfs_t
	if unix.Statfs(shared, &st) == nil && st.Type == unix.TMPFS_MAGIC && unix.Access(shared, unix.W_OK) == nil {
		return shared
	}
	return os.TempDir()
}

// removeAbandoned removes the overflow directories of processes of this user that are no more.
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
