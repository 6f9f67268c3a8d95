package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxSize is far above the size of any configuration, and small enough to be read if someone names the wrong file.
const maxSize = 1 << 20

// Read returns the configuration at path. If path is empty, it reads [DefaultPath], and returns [Default] if no such
// file exists. If the file is invalid, the error is [Problems] and lists all of them.
func Read(path string) (*Config, error) {
	raw, path, err := readFile(path)
	if err != nil {
		return nil, err
	}
	config, err := Parse(path, raw)
	if err == nil {
		config.File = path
	}
	return config, err
}

// readFile returns the text of the configuration at path, and the path that it was read from: [DefaultPath] if path is
// empty, and nothing if no such file exists.
func readFile(path string) (raw []byte, from string, err error) {
	if path == "" {
		// A symlink whose target is missing is an error: someone meant to configure something.
		if _, err := os.Lstat(DefaultPath); errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil
		}
		path = DefaultPath
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("reading configuration: %w", err)
	}
	defer file.Close()
	raw, err = io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading configuration: %w", err)
	}
	if len(raw) > maxSize {
		return nil, "", fmt.Errorf("reading configuration: %s is larger than 1 MiB; is it the right file?", path)
	}
	return raw, path, nil
}

// Parse reads a configuration from bytes; path is only named in problems, and an error is always [Problems]. Keys that
// are not set have their defaults.
func Parse(path string, raw []byte) (*Config, error) {
	b := &binder{path: path}
	config := Default()
	b.bind(raw, config)
	if len(b.problems) > 0 {
		return nil, b.problems.sorted()
	}
	return config, nil
}
