package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// mode allows only root to connect: requests make the daemon fetch, and answers reveal its policies.
const mode = 0o600

// Listen listens on a unix socket with mode 0600, and creates its directory. It replaces the socket of a daemon that
// has ended. If a daemon answers at the socket, or the path is not a socket, it returns an error. Closing the listener
// removes the socket.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	lock, err := claim(path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	if err := removeAbandoned(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("listening on %s: %w", path, err), lock.Close())
	}
	// Before bind, the mode of a socket becomes the mode of its file, less the umask: unlike with a chmod after bind,
	// there is no moment at which others can connect (Linux, net/unix/af_unix.c, unix_bind_bsd).
	config := net.ListenConfig{Control: func(_, _ string, connection syscall.RawConn) error {
		var failed error
		return errors.Join(connection.Control(func(descriptor uintptr) {
			failed = syscall.Fchmod(int(descriptor), mode)
		}), failed)
	}}
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening on %s: %w", path, err), lock.Close())
	}
	return &claimed{Listener: listener, lock: lock}, nil
}

// claimed is a listener whose path is locked until it is closed.
type claimed struct {
	net.Listener
	lock *os.File
}

// Close implements [net.Listener].
func (c *claimed) Close() error { return errors.Join(c.Listener.Close(), c.lock.Close()) }

// errTaken reports that another daemon uses the socket.
var errTaken = errors.New("another countersign daemon uses this socket; stop it, or set listen.socket to another path")

// claim locks the lock file of a socket. Without the lock, one of two daemons that start at the same time could remove
// the other's socket as abandoned. The kernel releases the lock when the process ends.
func claim(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errTaken
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// removeAbandoned removes a socket at which no process listens.
func removeAbandoned(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file at this path is not a socket; remove it, or set listen.socket to another path")
	}
	connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(errTaken, connection.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
