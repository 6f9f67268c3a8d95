package bounded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Read returns the contents of a regular file of at most limit bytes, and its information before it was read. It
// follows symbolic links. Errors do not contain the path.
func Read(path string, limit int64) ([]byte, fs.FileInfo, error) {
	if _, err := Stat(path, limit); err != nil {
		return nil, nil, err
	}
	return read(path, limit, 0)
}

// ReadNoFollow is [Read], but returns an error if the last element of the path is a symbolic link.
func ReadNoFollow(path string, limit int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	if err := check(info, limit); err != nil {
		return nil, err
	}
	contents, _, err := read(path, limit, syscall.O_NOFOLLOW)
	return contents, err
}

// Stat returns the information of a file that [Read] would read. It does not open the file: opening a named pipe waits
// for a writer, and opening a device may have effects.
func Stat(path string, limit int64) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	return info, check(info, limit)
}

func check(info fs.FileInfo, limit int64) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("it is %s, not a regular file", kind(info.Mode()))
	}
	if info.Size() > limit {
		return fmt.Errorf("it has %d bytes; the maximum is %d", info.Size(), limit)
	}
	return nil
}

func read(path string, limit int64, flags int) ([]byte, fs.FileInfo, error) {
	// The path may have become a named pipe since the check.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY|flags, 0)
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	if err := check(info, limit); err != nil {
		return nil, nil, err
	}
	contents := make([]byte, info.Size()+1) // One byte more, to detect a file that grows.
	n, err := io.ReadFull(file, contents)
	switch {
	case err == nil:
		return nil, nil, errors.New("it grew while it was being read")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return contents[:n:n], info, nil
	default:
		return nil, nil, withoutPath(err)
	}
}

// withoutPath removes the path from an error of package os: callers add it themselves.
func withoutPath(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	default:
		return "a device"
	}
}
