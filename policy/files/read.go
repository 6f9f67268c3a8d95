package files

import (
	"errors"
	"io/fs"

	"github.com/countersign/countersign/policy/internal/bounded"
)

const (
	// documentLimit is a thousand times the usual size; parsing needs a multiple of it in memory.
	documentLimit = 8 << 20
	// keyLimit has room for a keyring with hundreds of keys.
	keyLimit = 1 << 20
)

// inspect returns the identity of a file that can be read: a regular file, after symlinks, of limited size. It does not
// open the file.
func inspect(path string, limit int64) (identity, error) {
	info, err := bounded.Stat(path, limit)
	if err != nil {
		return identity{}, err
	}
	return identityOf(info), nil
}

// read returns the contents of a regular file, and its identity before they were read: if the file is being written,
// the identity will have changed by the next scan.
func read(path string, limit int64) ([]byte, identity, error) {
	contents, info, err := bounded.Read(path, limit)
	if err != nil {
		return nil, identity{}, err
	}
	return contents, identityOf(info), nil
}

// withoutPath removes the path from an error of package os: callers add it themselves.
func withoutPath(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}
