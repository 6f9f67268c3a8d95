package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

const (
	// documentLimit is a thousand times what policies have; parsing takes many times their size in memory.
	documentLimit = 8 << 20
	// keyLimit has room for a keyring of hundreds of keys.
	keyLimit = 1 << 20
)

// inspect returns the identity of a file that can be read: regular, after symlinks, and not too large. It does not open
// the file: opening a FIFO waits for a writer, and opening a device may do anything.
func inspect(path string, limit int64) (identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}, plain(err)
	}
	return check(info, limit)
}

func check(info fs.FileInfo, limit int64) (identity, error) {
	if !info.Mode().IsRegular() {
		return identity{}, fmt.Errorf("it is %s and must be a regular file", kindOf(info.Mode()))
	}
	if info.Size() > limit {
		return identity{}, fmt.Errorf("it has %d bytes and may have %d", info.Size(), limit)
	}
	return identityOf(info), nil
}

// read returns the contents of a regular file and the identity it had before they were read: if it is being written
// to, the identity will have changed by the next look.
func read(path string, limit int64) ([]byte, identity, error) {
	// What was regular a moment ago may be a FIFO now.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, identity{}, plain(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, identity{}, plain(err)
	}
	id, err := check(info, limit)
	if err != nil {
		return nil, identity{}, err
	}
	contents := make([]byte, id.size+1) // One more, so that a file that grows is noticed.
	n, err := io.ReadFull(file, contents)
	switch {
	case err == nil:
		return nil, identity{}, errors.New("it grew while it was read")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return contents[:n:n], id, nil
	default:
		return nil, identity{}, plain(err)
	}
}

// plain takes the path out of an error of package os, for those who report it name the path themselves.
func plain(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	default:
		return "a device"
	}
}
