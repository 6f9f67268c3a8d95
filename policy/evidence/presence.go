package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// presenceName is the file next to a record that says what is known of the image being on this node. Where there is
// none the image is here, or its absence has not been noticed yet.
const presenceName = "presence.json"

// presence is presence.json.
type presence struct {
	// Awaited says that evidence was imported and the image has not been seen since: a node that is cut off from its
	// registries may be given evidence long before the image.
	Awaited bool `json:"awaited,omitempty"`
	// AbsentSince is when the image was first seen not to be here.
	AbsentSince time.Time `json:"absent_since,omitzero"`
}

// readPresence returns what is known; what cannot be read is not known.
func readPresence(base string) presence {
	var p presence
	raw, err := readFile(filepath.Join(base, presenceName), maxRecord)
	if err != nil || json.Unmarshal(raw, &p) != nil {
		return presence{}
	}
	return p
}

// write replaces what is known. A file that a power failure has left without content is one that says nothing.
func (p presence) write(base string) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding what is known of an image's presence: %w", err)
	}
	if err := writeSynced(filepath.Join(base, presenceName), append(raw, '\n')); err != nil {
		return fmt.Errorf("noting whether an image is present: %w", err)
	}
	return nil
}

// forgetPresence removes what is known.
func forgetPresence(base string) error {
	err := os.Remove(filepath.Join(base, presenceName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("noting that an image is present: %w", err)
	}
	return nil
}
