package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The files in the state directory.
const (
	recordName  = "record.json"
	journalName = "journal.json"
	contentName = "content"
)

// ErrLocked reports that another process changes the same host.
var ErrLocked = errors.New("another process installs or uninstalls on this host")

// Journal is the state directory of a host. Only one process can open it at a time.
type Journal struct {
	host      *Host
	directory string // on the host
	lock      *os.File
}

// Open opens a state directory, which need not exist. The directory two levels above it must exist.
func Open(host *Host, directory string) (*Journal, error) {
	j := &Journal{host: host, directory: directory}
	above, err := host.locate(filepath.Dir(filepath.Dir(directory)))
	if err != nil {
		return nil, err
	}
	if j.lock, err = os.Open(above); err != nil {
		return nil, fmt.Errorf("opening the state of the installation: %w", err)
	}
	if err := syscall.Flock(int(j.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, j.lock.Close())
	}
	return j, nil
}

// Close releases the lock, also from child processes that have inherited it and not started their program yet.
func (j *Journal) Close() error {
	return errors.Join(syscall.Flock(int(j.lock.Fd()), syscall.LOCK_UN), j.lock.Close())
}

func (j *Journal) path(name ...string) string {
	return filepath.Join(append([]string{j.directory}, name...)...)
}

// entry is a path with a state.
type entry struct {
	Path  string `json:"path"`
	State *state `json:"state"`
}

// document is the journal of a transaction that is not complete.
type document struct {
	// Removal is set if the states are the new ones; otherwise they are the previous ones.
	Removal bool    `json:"removal"`
	Entries []entry `json:"entries"`
	// Trees are the directories that a removal removes.
	Trees []string `json:"trees,omitempty"`
}

// start writes the journal, and before it every contents that it names.
func (j *Journal) start(removal bool, changes []Change, trees []string) error {
	if err := j.prepare(); err != nil {
		return err
	}
	doc := document{Removal: removal, Trees: trees}
	for _, change := range changes {
		if err := j.store(change.File); err != nil {
			return err
		}
		doc.Entries = append(doc.Entries, entry{change.Path, stateOf(change.File)})
	}
	return j.writeJSON(journalName, doc)
}

// prepare makes the state directory.
func (j *Journal) prepare() error {
	for _, path := range []string{filepath.Dir(j.directory), j.directory, j.path(contentName)} {
		file, err := j.host.Read(path)
		if err != nil {
			return err
		}
		if file != nil {
			continue
		}
		if err := j.host.Set(Change{path, &File{Kind: Directory, Mode: 0o700}}); err != nil {
			return err
		}
	}
	return nil
}

// store writes the contents of a file to the content directory.
func (j *Journal) store(file *File) error {
	if file == nil || file.Kind == Directory {
		return nil
	}
	path := j.path(contentName, stateOf(file).Contents)
	if existing, err := j.host.Read(path); err != nil || existing != nil {
		return err
	}
	return j.host.Set(Change{path, &File{Kind: Regular, Mode: 0o600, Contents: file.Contents}})
}

// load returns a file with the contents that its state names.
func (j *Journal) load(s *state) (*File, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // The state of a path that does not exist.
	}
	file := &File{Kind: s.Kind, Mode: s.Mode, UID: s.UID, GID: s.GID, ModTime: s.ModTime}
	if s.Kind == Directory {
		return file, nil
	}
	contents, err := j.host.ReadFile(j.path(contentName, s.Contents))
	if err != nil {
		return nil, fmt.Errorf("reading what the installation has stored: %w", err)
	}
	sum := sha256.Sum256(contents)
	if hex.EncodeToString(sum[:]) != s.Contents {
		return nil, fmt.Errorf("%s is damaged", j.path(contentName, s.Contents))
	}
	file.Contents = contents
	return file, nil
}

func (j *Journal) writeJSON(name string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return j.host.Set(Change{j.path(name), &File{Kind: Regular, Mode: 0o600, Contents: append(raw, '\n')}})
}

// readJSON reads a file of the state directory, and reports whether it exists.
func (j *Journal) readJSON(name string, value any) (bool, error) {
	raw, err := j.host.ReadFile(j.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, value)
	}
	if err != nil {
		return true, fmt.Errorf("reading %s: %w", j.path(name), err)
	}
	return true, nil
}

// discard removes temporary files that a killed process has left where these paths are written.
func (j *Journal) discard(entries []entry) error {
	for _, e := range entries {
		place, err := j.host.locate(e.Path)
		if err != nil {
			return err
		}
		for _, directory := range []string{filepath.Dir(place), filepath.Dir(filepath.Dir(place))} {
			if err := j.host.remove(filepath.Join(directory, temporary)); err != nil {
				return err
			}
		}
	}
	return nil
}
