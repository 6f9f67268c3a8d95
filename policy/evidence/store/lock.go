package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openVolume creates the directory of this version and locks it against other processes.
func openVolume(directory string, limit int64) (*volume, *os.File, error) {
	root := filepath.Join(directory, versionDirectory)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, nil, fmt.Errorf("creating the evidence directory: %w", err)
	}
	if err := os.Chmod(root, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the evidence directory private: %w", err)
	}
	lock, err := lockDirectory(root)
	if err != nil {
		return nil, nil, err
	}
	return newVolume(root, limit), lock, nil
}

// ErrLocked reports that another process uses a directory.
var ErrLocked = errors.New("another process uses it")

// lockDirectory locks a directory for as long as the file it returns is open. The kernel releases the lock when the
// process ends, for any reason.
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
