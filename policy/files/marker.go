package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// marker is the file that records, over restarts, that there were documents at a path: of a directory, or of one file.
// Its one line is the path, so it applies to no other.
type marker struct {
	file, path string
	// written is the state that this process last wrote, so that it is not written twice.
	written *bool
}

// remembered reports whether there were documents when the path was last read. If that is unknown, the answer is yes:
// with no, the system policy would apply to every namespace.
func (m *marker) remembered() bool {
	if m.file == "" {
		return false
	}
	raw, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	line, whole := strings.CutSuffix(string(raw), "\n")
	another := whole && line != m.path && filepath.IsAbs(line) && !strings.Contains(line, "\n")
	return err != nil || !another
}

// update writes or removes the file.
func (m *marker) update(held bool) error {
	if m.file == "" || (m.written != nil && *m.written == held) {
		return nil
	}
	m.written = nil
	if err := m.write(held); err != nil {
		return fmt.Errorf("recording that there were policies at %s: %w", m.path, err)
	}
	m.written = &held
	return nil
}

func (m *marker) write(held bool) error {
	if !held {
		if err := os.Remove(m.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if raw, err := os.ReadFile(m.file); err == nil && string(raw) == m.path+"\n" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(m.file), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(m.file), ".policies-seen-*")
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(m.path + "\n")
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), m.file)
	}
	if err != nil {
		_ = os.Remove(temporary.Name()) // The reason to report is why it could not be written.
	}
	return err
}
