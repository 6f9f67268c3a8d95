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

// mode lets root alone ask: what is asked for makes the daemon fetch, and tells what its policies are.
const mode = 0o600

// Listen listens on a unix socket at that path, which is made with the directory it lies in, and with mode 0600. The
// socket that a daemon left which is no more is replaced; one at which somebody answers is an error, and so is
// anything else that lies there. Closing the listener removes the socket.
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
	// The mode of a socket before it is bound is that of its file, less the umask: unlike with chmod after it, there is
	// no moment at which others may connect (Linux, net/unix/af_unix.c, unix_bind_bsd).
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

// claimed is a listener at a path that no other process takes until it is closed.
type claimed struct {
	net.Listener
	lock *os.File
}

// Close implements [net.Listener].
func (c *claimed) Close() error { return errors.Join(c.Listener.Close(), c.lock.Close()) }

// errTaken says that another daemon has the socket.
var errTaken = errors.New("another countersign listens there; end it first, or set listen.socket to another path")

// claim takes the lock that goes with a socket: of two daemons that start together and find an abandoned socket, one
// would remove the other's. The kernel gives it back when the process ends.
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

// removeAbandoned removes a socket at which nobody answers.
func removeAbandoned(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("what is there is not a socket; remove it, or set listen.socket to another path")
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
