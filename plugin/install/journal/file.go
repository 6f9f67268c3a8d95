package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"time"
)

// Kind is what a path is.
type Kind string

// The kinds. Other kinds, such as devices, are not changed.
const (
	Regular   Kind = "file"
	Directory Kind = "directory"
	Symlink   Kind = "symlink"
)

// File is the state of a path. A nil *File is the state of a path that does not exist.
type File struct {
	Kind Kind
	// Mode has the permissions, and the setuid, setgid and sticky bits.
	Mode     fs.FileMode
	UID, GID int
	// ModTime is when a regular file was modified; zero: when it is written.
	ModTime time.Time
	// Contents are those of a regular file, or the target of a symlink.
	Contents []byte
}

// Change is a path and the state that it gets; nil: it is removed. A directory is removed only if it is empty.
type Change struct {
	Path string
	File *File
}

// Equal reports whether two states are the same, apart from the time of modification.
func (f *File) Equal(other *File) bool {
	if f == nil || other == nil {
		return f == other
	}
	if f.Kind != other.Kind || f.UID != other.UID || f.GID != other.GID {
		return false
	}
	if f.Kind != Symlink && f.Mode != other.Mode {
		return false
	}
	return f.Kind == Directory || bytes.Equal(f.Contents, other.Contents)
}

// state is a [File] in a journal or a record: its contents are in the content directory, under their digest.
type state struct {
	Kind     Kind        `json:"kind"`
	Mode     fs.FileMode `json:"mode"`
	UID      int         `json:"uid"`
	GID      int         `json:"gid"`
	ModTime  time.Time   `json:"mtime"`
	Contents string      `json:"contents,omitempty"`
}

func stateOf(file *File) *state {
	if file == nil {
		return nil
	}
	digest := ""
	if file.Kind != Directory {
		sum := sha256.Sum256(file.Contents)
		digest = hex.EncodeToString(sum[:])
	}
	return &state{file.Kind, file.Mode, file.UID, file.GID, file.ModTime, digest}
}

// is reports whether a file has this state, apart from the time of modification.
func (s *state) is(file *File) bool {
	other := stateOf(file)
	if s == nil || other == nil {
		return s == nil && other == nil
	}
	mine := *s
	mine.ModTime = other.ModTime
	if s.Kind == Symlink {
		mine.Mode = other.Mode
	}
	return mine == *other
}
