package signature

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
)

// keyFiles reads the key files of one document, each once.
type keyFiles struct {
	read     func(path string) ([]byte, error)
	contents map[string]keyFile
	// paths are the files that the document names, in its order, and named is the set of them.
	paths []string
	named map[string]struct{}
}

// keyFile contains a key file's data or error, and a hash of either.
type keyFile struct {
	data []byte
	err  error
	sum  [sha256.Size]byte
}

// mention adds a path to the files that the document names.
func (f *keyFiles) mention(path string) {
	if _, ok := f.named[path]; ok {
		return
	}
	if f.named == nil {
		f.named = make(map[string]struct{})
	}
	f.named[path] = struct{}{}
	f.paths = append(f.paths, path)
}

// get reads a file when it is first requested.
func (f *keyFiles) get(path string) keyFile {
	if known, ok := f.contents[path]; ok {
		return known
	}
	var file keyFile
	file.data, file.err = f.read(path)
	hash := sha256.New()
	if file.err == nil {
		hash.Write([]byte{0})
		hash.Write(file.data)
	} else {
		// The error contains the path once, and the system's cause.
		if inner := (*fs.PathError)(nil); errors.As(file.err, &inner) {
			file.err = inner.Err
		}
		file.err = fmt.Errorf("reading key file %s: %w", path, file.err)
		hash.Write([]byte{1})
		hash.Write([]byte(file.err.Error()))
	}
	hash.Sum(file.sum[:0])
	if f.contents == nil {
		f.contents = make(map[string]keyFile)
	}
	f.contents[path] = file
	return file
}
