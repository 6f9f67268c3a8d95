package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Host is a file system whose root is a directory of this one. Paths are absolute and below that root; symlinks, too,
// are followed there.
type Host struct {
	Root string
	// Step is called before each operation that changes something. It may be nil; tests end the process there.
	Step func()
}

// maxSymlinks is the limit of the kernel.
const maxSymlinks = 40

// Resolve returns a path without symlinks. The last element is followed if follow is set. What does not exist is not a
// symlink.
func (h *Host) Resolve(path string, follow bool) (string, error) {
	resolved, pending, links := "/", strings.Split(filepath.Clean(path), "/"), 0
	for len(pending) > 0 {
		name := pending[0]
		pending = pending[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			resolved = filepath.Dir(resolved)
			continue
		}
		next := filepath.Join(resolved, name)
		target, err := os.Readlink(filepath.Join(h.Root, next))
		if err != nil || len(pending) == 0 && !follow {
			resolved = next // Not a symlink; other errors are those of the operation that follows.
			continue
		}
		if links++; links > maxSymlinks {
			return "", &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			resolved = "/"
		}
		pending = append(strings.Split(filepath.Clean(target), "/"), pending...)
	}
	return resolved, nil
}

// locate returns the path of a file on this process's file system.
func (h *Host) locate(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s is not an absolute path", path)
	}
	resolved, err := h.Resolve(path, false)
	return filepath.Join(h.Root, resolved), err
}

// Read returns the state of a path; nil if it does not exist. A symlink is not followed.
func (h *Host) Read(path string) (*File, error) {
	place, err := h.locate(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(place)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil //nolint:nilnil // The state of a path that does not exist.
	}
	if err != nil {
		return nil, err
	}
	file := &File{Mode: info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		file.UID, file.GID = int(stat.Uid), int(stat.Gid)
	}
	switch info.Mode().Type() {
	case 0:
		file.Kind, file.ModTime = Regular, info.ModTime()
		file.Contents, err = os.ReadFile(place)
	case fs.ModeDir:
		file.Kind = Directory
	case fs.ModeSymlink:
		var target string
		target, err = os.Readlink(place)
		file.Kind, file.Contents = Symlink, []byte(target)
	default:
		return nil, fmt.Errorf("%s is not a regular file, a directory or a symlink", path)
	}
	return file, err
}

// ReadFile returns the contents of a regular file. It follows symlinks.
func (h *Host) ReadFile(path string) ([]byte, error) {
	resolved, err := h.Resolve(path, true)
	if err != nil {
		return nil, err
	}
	file, err := h.Read(resolved)
	switch {
	case err != nil:
		return nil, err
	case file == nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	case file.Kind != Regular:
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return file.Contents, nil
}

// Names returns the names in a directory, sorted; none if it does not exist. It follows symlinks.
func (h *Host) Names(path string) ([]string, error) {
	resolved, err := h.Resolve(path, true)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(h.Root, resolved))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

func (h *Host) step() {
	if h.Step != nil {
		h.Step()
	}
}
