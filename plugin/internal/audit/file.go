package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// File is a file with one record in each line, which is rotated by size: FILE.1 is the newest of the rotated files.
// After an error it tries again with the next record. Create one with [NewFile].
type File struct {
	path     string
	maxSize  int64
	maxFiles int

	mu   sync.Mutex // guards open
	open *os.File   // nil: not open

	problem atomic.Pointer[error]
}

// NewFile returns a file that is rotated before it exceeds a size. At most maxFiles rotated files remain. The file is
// not open: call Reopen.
func NewFile(path string, maxSize int64, maxFiles int) *File {
	return &File{path: path, maxSize: maxSize, maxFiles: maxFiles}
}

// Reopen closes the file and opens the file that now has its path, as other programs expect that rotate logs.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.close()
	err := f.prepare(0)
	f.problem.Store(&err)
	return err
}

// Write implements [io.Writer] for one record, which ends with a line break. A record is written completely or not at
// all. The error is the one that Problem returns.
func (f *File) Write(record []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.write(record)
	f.problem.Store(&err)
	if err != nil {
		return 0, err
	}
	return len(record), nil
}

// Problem returns the error of the last operation; nil: it succeeded. It does not wait for an operation in progress.
func (f *File) Problem() error {
	if problem := f.problem.Load(); problem != nil {
		return *problem
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.close()
}

func (f *File) close() error {
	if f.open == nil {
		return nil
	}
	err := f.open.Close()
	f.open = nil
	return err
}

func (f *File) write(record []byte) error {
	if err := f.prepare(int64(len(record))); err != nil {
		return err
	}
	before, err := f.open.Stat()
	if err != nil {
		return fmt.Errorf("writing the audit log file: %w", err)
	}
	if _, err := f.open.Write(record); err != nil {
		// A part of a line would make the next record unreadable. No disk is too full for a file to become shorter.
		return errors.Join(fmt.Errorf("writing the audit log file: %w", err), f.open.Truncate(before.Size()))
	}
	return nil
}

// prepare opens the file, and rotates it if a record of that size has no room.
func (f *File) prepare(size int64) error {
	if f.isGone() {
		_ = f.close()
	}
	if f.open == nil {
		if err := f.create(); err != nil {
			return err
		}
	}
	info, err := f.open.Stat()
	if err != nil {
		return fmt.Errorf("opening the audit log file: %w", err)
	}
	if info.Size() == 0 || info.Size()+size <= f.maxSize {
		return nil
	}
	if err := f.rotate(); err != nil {
		return fmt.Errorf("rotating the audit log file: %w", err)
	}
	_ = f.close()
	return f.create()
}

// isGone reports whether the open file was removed.
func (f *File) isGone() bool {
	if f.open == nil {
		return false
	}
	info, err := f.open.Stat()
	if err != nil {
		return true
	}
	system, ok := info.Sys().(*syscall.Stat_t)
	return ok && system.Nlink == 0
}

// create opens the file, and creates it and its directory if they do not exist. Only root may read records. O_NONBLOCK
// is for a path that is a named pipe, at which an open would wait for a reader; it is refused.
func (f *File) create() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("creating the directory of the audit log file: %w", err)
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return fmt.Errorf("opening the audit log file: %w", err)
	}
	if err := f.accept(file); err != nil {
		_ = file.Close()
		return fmt.Errorf("opening the audit log file %s: %w", f.path, err)
	}
	f.open = file
	return nil
}

// accept prepares an opened file. If the machine lost power while a record was written, it ends that line.
func (f *File) accept(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if info.Mode().Perm() != 0o600 {
		if err := file.Chmod(0o600); err != nil {
			return err
		}
	}
	last := []byte("\n")
	if _, err := file.ReadAt(last, max(info.Size()-1, 0)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	_, err = file.Write([]byte("\n"))
	return err
}

// rotate renames the file to FILE.1, FILE.1 to FILE.2 and so on, and removes the oldest.
func (f *File) rotate() error {
	if f.maxFiles == 0 {
		return os.Remove(f.path)
	}
	for number := f.maxFiles; number > 0; number-- {
		err := os.Rename(rotated(f.path, number-1), rotated(f.path, number))
		if err != nil && (number == 1 || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// RotatedFiles returns the names of the rotated files of a file that exist, the oldest first, and at most so many.
func RotatedFiles(path string, most int) (names []string) {
	for number := most; number > 0; number-- {
		if _, err := os.Lstat(rotated(path, number)); err == nil {
			names = append(names, rotated(path, number))
		}
	}
	return names
}

// rotated returns the name of a rotated file; 0 is the current one.
func rotated(path string, number int) string {
	if number == 0 {
		return path
	}
	return path + "." + strconv.Itoa(number)
}
