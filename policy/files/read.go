package files

import (
	"errors"
	"io/fs"

	"github.com/countersign/countersign/policy/internal/bounded"
)

const (
	// documentLimit is a thousand times what policies have; parsing takes many times their size in memory.
	documentLimit = 8 << 20
	// keyLimit has room for a keyring of hundreds of keys.
	keyLimit = 1 << 20
)

// inspect returns the identity of a file that can be read: regular, after symlinks, and not too large. It does not open
// the file.
func inspect(path string, limit int64) (identity, error) {
	info, err := bounded.Stat(path, limit)
	if err != nil {
		return identity{}, err
	}
	return identityOf(info), nil
}

// read returns the contents of a regular file and the identity it had before they were read: if it is being written
// to, the identity will have changed by the next scan.
func read(path string, limit int64) ([]byte, identity, error) {
	contents, info, err := bounded.Read(path, limit)
	if err != nil {
		return nil, identity{}, err
	}
	return contents, identityOf(info), nil
}

// withoutPath takes the path out of an error of package os: those who report it name the path themselves.
func withoutPath(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}
