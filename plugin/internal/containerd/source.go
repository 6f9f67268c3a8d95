package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Source is where configuration files are, if not on the file system of this process: below the root of another
// system, or not written yet.
type Source struct {
	// Read returns the contents of a file, and an error that is [fs.ErrNotExist] if it does not exist.
	Read func(path string) ([]byte, error)
	// Glob returns the paths that match a pattern, sorted.
	Glob func(pattern string) ([]string, error)
}

// OwnSource returns the file system of this process, on which a main file that does not exist is empty: containerd then
// uses its defaults.
func OwnSource(main string) Source {
	return Source{
		Read: func(path string) ([]byte, error) {
			contents, err := os.ReadFile(path)
			if path == main && errors.Is(err, fs.ErrNotExist) {
				return []byte("version = 3\n"), nil
			}
			return contents, err
		},
		Glob: filepath.Glob,
	}
}

// LoadConfigFrom reads the configuration whose main file is at path in a source. containerd's own loader merges the
// files: they are copied to a temporary directory, with the names of the copies as their imports.
func LoadConfigFrom(ctx context.Context, source Source, path string) (*Config, error) {
	directory, err := os.MkdirTemp("", "countersign-containerd-")
	if err != nil {
		return nil, fmt.Errorf("reading containerd's configuration %s: %w", path, err)
	}
	defer os.RemoveAll(directory)
	copied := &copies{source: source, directory: directory, names: make(map[string]string)}
	copied.name(path)
	for i := 0; i < len(copied.paths); i++ {
		if err := copied.copy(copied.paths[i]); err != nil {
			return nil, fmt.Errorf("reading containerd's configuration %s: %w", copied.paths[i], err)
		}
	}
	config, err := LoadConfig(ctx, copied.names[path])
	if err != nil {
		return nil, errors.New(copied.restore(err.Error()))
	}
	config.path, config.files, config.lists = path, copied.paths, copied.lists
	return config, nil
}

// copies are the copies of configuration files in a directory.
type copies struct {
	source    Source
	directory string
	paths     []string
	lists     []list
	names     map[string]string // by path
}

// name returns the name of a file's copy.
func (c *copies) name(path string) string {
	name, known := c.names[path]
	if !known {
		name = filepath.Join(c.directory, fmt.Sprintf("%d.toml", len(c.paths)))
		c.names[path] = name
		c.paths = append(c.paths, path)
	}
	return name
}

func (c *copies) copy(path string) error {
	contents, err := c.source.Read(path)
	if err != nil {
		return err
	}
	document := make(map[string]any)
	if err := toml.Unmarshal(contents, &document); err != nil {
		return err
	}
	patterns, err := importsOf(document)
	if err != nil {
		return err
	}
	names := []string{}
	for _, pattern := range patterns {
		imported, err := c.resolve(path, pattern)
		if err != nil {
			return err
		}
		for _, found := range imported {
			names = append(names, c.name(found))
		}
	}
	document["imports"] = names
	c.lists = append(c.lists, requiredIn(document))
	contents, err = toml.Marshal(document)
	if err != nil {
		return err
	}
	return os.WriteFile(c.names[path], contents, 0o600)
}

// resolve returns the files that an import names, as containerd does (v2.4.2, cmd/containerd/server/config).
func (c *copies) resolve(parent, pattern string) ([]string, error) {
	pattern = importPath(parent, pattern)
	if !strings.Contains(pattern, "*") {
		return []string{pattern}, nil
	}
	return c.source.Glob(pattern)
}

// restore returns a text with the paths of the files instead of their copies'.
func (c *copies) restore(text string) string {
	for path, name := range c.names {
		text = strings.ReplaceAll(text, name, path)
	}
	return text
}

// importPath returns the absolute path or pattern of an import of a file.
func importPath(parent, pattern string) string {
	pattern = filepath.Clean(pattern)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(parent), pattern)
	}
	return pattern
}

func importsOf(document map[string]any) ([]string, error) {
	values, isList := document["imports"].([]any)
	if document["imports"] != nil && !isList {
		return nil, errors.New("imports is not a list")
	}
	imports := make([]string, 0, len(values))
	for _, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, errors.New("imports is not a list of strings")
		}
		imports = append(imports, text)
	}
	return imports, nil
}

// Imports returns the absolute paths and patterns that one configuration file imports; none if it does not exist.
func Imports(source Source, path string) ([]string, error) {
	contents, err := source.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	document := make(map[string]any)
	if err := toml.Unmarshal(contents, &document); err != nil {
		return nil, fmt.Errorf("reading containerd's configuration %s: %w", path, err)
	}
	imports, err := importsOf(document)
	for i := range imports {
		imports[i] = importPath(path, imports[i])
	}
	return imports, err
}

// Files returns the files that were read by [LoadConfigFrom], in the order in which they are merged.
func (c *Config) Files() []string { return slices.Clone(c.files) }
