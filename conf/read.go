package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// maxSize is far above any configuration, and far below what would hurt when someone names the wrong file.
const maxSize = 1 << 20

// Read returns the configuration at path. Where path is empty it is the one at [DefaultPath], and [Default] when there
// is nothing at that path. All faults of the file are in the error, which is then [Faults].
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

// readFile returns the text of the configuration at path, and the path that it was read from: [DefaultPath] where path
// is empty, and nothing where there is no file at that.
func readFile(path string) (raw []byte, from string, err error) {
	if path == "" {
		// A symlink whose target is missing is not the same as no file: someone meant to configure something.
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

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	// Path is the file's, as it was given.
	Path string
	// Line counts from 1; 0 when the fault is not in one line.
	Line int
	// Problem says what is wrong and what to do.
	Problem string
}

// Error returns the fault as one line: path:line: problem.
func (f Fault) Error() string {
	problem := strings.ReplaceAll(f.Problem, "\n", " ")
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.Path, problem)
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, problem)
}

// Faults are all that is wrong with a configuration, in the order of its lines. There is at least one.
type Faults []Fault

// Error returns one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, 0, len(f))
	for _, fault := range f {
		lines = append(lines, fault.Error())
	}
	return strings.Join(lines, "\n")
}

// Parse reads a configuration from bytes; path is only named in faults, and an error is always [Faults]. Keys that
// are not set have their defaults.
func Parse(path string, raw []byte) (*Config, error) {
	b := &binder{path: path}
	config := Default()
	b.bind(raw, config)
	if len(b.faults) > 0 {
		slices.SortStableFunc(b.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, b.faults
	}
	return config, nil
}
