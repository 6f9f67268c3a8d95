package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// presenceName is the file next to a record that records whether the image is on this node. Without it, the image is
// present, or its absence has not been noticed yet.
const presenceName = "presence.json"

// presence is presence.json.
type presence struct {
	// Awaited reports whether evidence was imported and the image has not been seen since: on a disconnected node,
	// evidence may be imported long before the image.
	Awaited bool `json:"awaited,omitempty"`
	// AbsentSince is when the image was first seen to be absent.
	AbsentSince time.Time `json:"absent_since,omitzero"`
}

// readPresence returns the presence in a directory; the zero value if it cannot be read.
func readPresence(base string) presence {
	var p presence
	raw, err := readFile(filepath.Join(base, presenceName), maxRecord)
	if err != nil || json.Unmarshal(raw, &p) != nil {
		return presence{}
	}
	return p
}

// write replaces the presence in a directory. A file that a power failure has left empty is as good as none.
func (p presence) write(base string) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding the presence of an image: %w", err)
	}
	if err := writeSynced(filepath.Join(base, presenceName), append(raw, '\n')); err != nil {
		return fmt.Errorf("recording whether an image is present: %w", err)
	}
	return nil
}

// removePresence removes the presence from a directory.
func removePresence(base string) error {
	err := os.Remove(filepath.Join(base, presenceName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording that an image is present: %w", err)
	}
	return nil
}
