package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFiles is how many files a tar, or a directory in a layout, may have.
const maxFiles = 200_000

// beginning is how many bytes tell whether a file is JSON.
const beginning = 512

// files are the files of a layout. Names have slashes and are below the layout.
type files interface {
	// read returns a file's bytes; more than limit of them, or something that is not a file, are an error. It is
	// [fs.ErrNotExist] where there is none.
	read(name string, limit int64) ([]byte, error)
	// start returns a file's first bytes, some hundred at most.
	start(name string) ([]byte, error)
	// names returns the names of the files in a directory, in order; there are none in one that is absent.
	names(directory string) ([]string, error)
	io.Closer
}

// directory is a layout that lies in a directory.
type directory struct{ root *os.Root }

func openDirectory(path string) (*directory, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &directory{root}, nil
}

// Close implements [io.Closer].
func (d *directory) Close() error { return d.root.Close() }

func (d *directory) read(name string, limit int64) ([]byte, error) {
	file, size, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, name, size, limit)
}

func (d *directory) start(name string) ([]byte, error) {
	file, size, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, name, min(size, beginning), beginning)
}

// open opens a regular file, and returns its size.
func (d *directory) open(name string) (*os.File, int64, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the layout: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a file", name)
	}
	// What takes its place meanwhile may be a named pipe, which is not waited for.
	file, err := d.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the layout: %w", err)
	}
	return file, info.Size(), nil
}

func (d *directory) names(of string) ([]string, error) {
	opened, err := d.root.Open(of)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	defer opened.Close()
	names, err := opened.Readdirnames(maxFiles)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// archive is a layout in a tar, whose files are read where they lie in it.
type archive struct {
	file    *os.File
	size    int64
	entries map[string]entry
}

// entry is where a file's bytes are. If it is not a file, its size is negative.
type entry struct{ offset, size int64 }

func openArchive(path string) (*archive, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	a := &archive{file: file, entries: map[string]entry{}}
	if err := a.scan(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading %s: %w", path, err), file.Close())
	}
	return a, nil
}

// Close implements [io.Closer].
func (a *archive) Close() error { return a.file.Close() }

// scan notes where each file is. tar.Reader reads a header and no more, so that the file's position after it is that
// of the content.
func (a *archive) scan() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	a.size = info.Size()
	start := make([]byte, 2)
	if _, err := a.file.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(start) == "\x1f\x8b" {
		return errors.New("it is compressed; decompress it first, with gunzip")
	}
	reader := tar.NewReader(a.file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it is not a whole tar file: %w", err)
		}
		offset, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if err := a.note(header, offset); err != nil {
			return err
		}
	}
}

func (a *archive) note(header *tar.Header, offset int64) error {
	name := strings.TrimPrefix(strings.TrimSuffix(header.Name, "/"), "./")
	if !fs.ValidPath(name) {
		return fmt.Errorf("it has a file %.200q, which would lie outside; nothing of it is read", header.Name)
	}
	if header.Typeflag == tar.TypeDir {
		return nil
	}
	if _, twice := a.entries[name]; twice {
		return fmt.Errorf("it has two files %.200q; nothing of it is read", name)
	}
	if header.Size > a.size-offset {
		return fmt.Errorf("it is not a whole tar file: %.200q has %d bytes and is cut short", name, header.Size)
	}
	if len(a.entries) >= maxFiles {
		return fmt.Errorf("it has more than %d files", maxFiles)
	}
	a.entries[name] = entry{offset: offset, size: header.Size}
	if header.Typeflag != tar.TypeReg {
		a.entries[name] = entry{size: -1}
	}
	return nil
}

func (a *archive) read(name string, limit int64) ([]byte, error) {
	section, err := a.open(name)
	if err != nil {
		return nil, err
	}
	return readAll(section, name, section.Size(), limit)
}

func (a *archive) start(name string) ([]byte, error) {
	section, err := a.open(name)
	if err != nil {
		return nil, err
	}
	return readAll(section, name, min(section.Size(), beginning), beginning)
}

func (a *archive) open(name string) (*io.SectionReader, error) {
	found, ok := a.entries[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if found.size < 0 {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	return io.NewSectionReader(a.file, found.offset, found.size), nil
}

func (a *archive) names(of string) ([]string, error) {
	var names []string
	for name := range a.entries {
		if path.Dir(name) == of {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func readAll(from io.Reader, name string, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%s: %w: it has %d bytes, and at most %d are read", name, errTooLarge, size, limit)
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(from, content); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return content, nil
}

// errTooLarge reports that a file has more bytes than are read.
var errTooLarge = errors.New("the file is too large")
