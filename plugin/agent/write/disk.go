package write

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// temporaryPrefix is the beginning of the names of files that are not complete. The daemon ignores names that begin
// with a dot.
const temporaryPrefix = ".countersign-agent-"

// disk changes files. Its zero value is usable.
type disk struct {
	// before is called before each change, in tests, by several goroutines.
	before func(operation string)
}

func (d disk) about(operation string) {
	if d.before != nil {
		d.before(operation)
	}
}

// take puts the file of a step in place, or removes it. A file that somebody else has changed since it was compared
// stays, and a new one replaces none.
func (d disk) take(s step) error {
	if !s.before.isStill(s.path) {
		return fmt.Errorf("%s: %w", s.path, errChanged)
	}
	switch {
	case s.removes():
		return d.remove(s.path)
	case s.before.exists():
		d.about("rename " + s.path)
		return os.Rename(s.temporary(), s.path)
	default:
		return d.link(s.temporary(), s.path)
	}
}

func (d disk) link(temporary, path string) error {
	d.about("link " + path)
	err := os.Link(temporary, path)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w", path, errors.Join(errChanged, err))
	}
	d.about("unlink " + temporary)
	return errors.Join(err, os.Remove(temporary))
}

// replace writes a file under another name, makes it durable, and renames it.
func (d disk) replace(path string, content []byte) error {
	temporary := filepath.Join(filepath.Dir(path), temporaryPrefix+filepath.Base(path))
	if err := d.create(temporary, content); err != nil {
		return err
	}
	d.about("rename " + path)
	return os.Rename(temporary, path)
}

// create writes a file and makes it durable. After an error there is none.
func (d disk) create(path string, content []byte) error {
	if err := d.write(path, content); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(path)))
	}
	return nil
}

func (d disk) write(path string, content []byte) error {
	d.about("create " + path)
	// A name that is left over may be a second one of a document, so it is not written to.
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	half := len(content) / 2
	for _, part := range [][]byte{content[:half], content[half:]} {
		d.about("write " + path)
		if _, err := file.Write(part); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	d.about("fsync " + path)
	return errors.Join(file.Sync(), file.Close())
}

func (d disk) remove(path string) error {
	d.about("unlink " + path)
	return ignoreMissing(os.Remove(path))
}

// sync makes the names in a directory durable.
func (d disk) sync(directory string) error {
	d.about("fsync " + directory)
	opened, err := os.Open(directory)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removeTemporary removes files that an earlier process has not completed.
func removeTemporary(directory string) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return // Whoever writes there will say so.
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), temporaryPrefix) {
			_ = os.Remove(filepath.Join(directory, entry.Name())) // The next write replaces it.
		}
	}
}
