package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/install/journal"
	"github.com/countersign/countersign/plugin/internal/containerd"
)

// dropInName sorts after the names of other files: containerd merges imports in their order, and later lists replace
// earlier ones.
const dropInName = "99-countersign.toml"

// imports are read by containerd's default configuration file.
const (
	imports       = "/etc/containerd/conf.d/*.toml"
	importsOfOurs = "/etc/containerd/conf.d/99-countersign*.toml"
)

// runtime is containerd's configuration on a host, without what an earlier installation added to a template.
type runtime struct {
	distribution
	host   *journal.Host
	config *containerd.Config
	// current is the configuration with our drop-in.
	current *containerd.Config
	// imports are the patterns that the main file imports.
	imports []string
	// main is the text of the main file; nil: it does not exist.
	main []byte
}

// readRuntime reads containerd's configuration. dropIn is ignored, which an earlier installation wrote; empty: none.
func readRuntime(ctx context.Context, host *journal.Host, d distribution, dropIn string) (*runtime, error) {
	r := &runtime{distribution: d, host: host}
	main, err := host.ReadFile(d.main)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading containerd's configuration: %w", err)
	}
	r.main = main
	source := r.source(map[string][]byte{dropIn: []byte("version = 3\n")})
	if r.config, err = containerd.LoadConfigFrom(ctx, source, d.main); err != nil {
		return nil, err
	}
	if r.current, err = containerd.LoadConfigFrom(ctx, r.source(nil), d.main); err != nil {
		return nil, err
	}
	r.imports, err = containerd.Imports(source, d.main)
	return r, err
}

// source returns the configuration files with other contents for some of them.
func (r *runtime) source(changed map[string][]byte) containerd.Source {
	return containerd.Source{
		Read: func(name string) ([]byte, error) {
			if contents, ok := changed[name]; ok {
				return contents, nil
			}
			if name == r.distribution.main {
				if r.main == nil {
					return []byte("version = 3\n"), nil // containerd's defaults.
				}
				return withoutBlock(r.main), nil
			}
			return r.host.ReadFile(name)
		},
		Glob: func(pattern string) ([]string, error) { return r.glob(pattern, changed) },
	}
}

// glob returns the existing files, and those of changed, that match a pattern with wildcards in its last element.
func (r *runtime) glob(pattern string, changed map[string][]byte) ([]string, error) {
	directory, last := path.Split(pattern)
	directory = path.Clean(directory)
	if strings.ContainsAny(directory, "*?[") {
		return nil, fmt.Errorf("the import %s has a wildcard in the name of a directory", pattern)
	}
	names, err := r.host.Names(directory)
	if err != nil {
		return nil, err
	}
	for name := range changed {
		if path.Dir(name) == directory && name != "" {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	var found []string
	for _, name := range slices.Compact(names) {
		matches, err := path.Match(last, name)
		if err != nil {
			return nil, err
		}
		if matches {
			found = append(found, path.Join(directory, name))
		}
	}
	return found, nil
}

// settings are the changes to containerd's configuration.
type settings struct {
	// dropIn is the path of our file, which is the template of k3s and RKE2 if they have no imports.
	dropIn string
	// files are the new contents, by path.
	files map[string][]byte
	// edited is the pattern that was added to the main file; empty: it is not edited.
	edited string
	notes  []string
}

// configure returns the changes that make containerd call countersign, and require it if enforce is set. It fails if
// the merged configuration would not have that effect.
func (r *runtime) configure(ctx context.Context, enforce bool) (*settings, error) {
	s := &settings{files: map[string][]byte{}}
	others, err := r.others(enforce)
	if err != nil {
		return nil, err
	}
	text, err := r.dropInText(enforce, others)
	if err != nil {
		return nil, err
	}
	pattern := r.importedDirectory()
	switch {
	case pattern != "":
		s.dropIn = path.Join(path.Dir(pattern), dropInName)
		s.files[s.dropIn] = text
	case r.template != "":
		rendered, err := r.configureTemplate(s, text)
		if err != nil {
			return nil, err
		}
		merged := &settings{dropIn: r.distribution.main, files: map[string][]byte{r.distribution.main: rendered}}
		return s, r.verify(ctx, merged, enforce, others)
	default:
		if err := r.addImport(s, text); err != nil {
			return nil, err
		}
	}
	return s, r.verify(ctx, s, enforce, others)
}

// others returns the plugins of others that containerd requires.
func (r *runtime) others(enforce bool) ([]string, error) {
	others := slices.DeleteFunc(r.config.RequiredPlugins(), isOurs)
	for _, name := range r.current.RequiredPlugins() {
		if isOurs(name) || slices.Contains(others, name) {
			continue
		}
		if !enforce {
			return nil, fmt.Errorf("only %s requires the plugin %s: write that to a file of its own before audit mode removes "+
				"it", dropInName, name)
		}
		others = append(others, name)
	}
	return others, nil
}

func isOurs(name string) bool { return name == nri.Name || name == nri.Index+"-"+nri.Name }

// importedDirectory returns the last import with which our drop-in would be read, or the empty string.
func (r *runtime) importedDirectory() string {
	for _, pattern := range slices.Backward(r.imports) {
		directory, last := path.Split(pattern)
		if matches, _ := path.Match(last, dropInName); matches && strings.Contains(last, "*") &&
			!strings.ContainsAny(directory, "*?[") {
			return pattern
		}
	}
	return ""
}

// addImport makes the main file import our drop-in. It adds the directory that other software uses too, unless that
// would activate files which containerd does not read today.
func (r *runtime) addImport(s *settings, text []byte) error {
	if r.generated != "" {
		return fmt.Errorf("%s imports no drop-ins, and cannot be changed: %s", r.distribution.main, r.generated)
	}
	s.edited = imports
	inactive, err := r.glob(imports, nil)
	if err != nil {
		return err
	}
	inactive = slices.DeleteFunc(inactive, func(name string) bool { return path.Base(name) == dropInName })
	if len(inactive) > 0 {
		s.edited = importsOfOurs
		s.notes = append(s.notes, fmt.Sprintf("containerd does not read %s, and goes on ignoring it: %s imports only "+
			"countersign's drop-in", strings.Join(inactive, ", "), r.distribution.main))
	}
	main := r.main
	if main == nil {
		main = []byte("version = 3\n")
	}
	changed, err := addImport(main, s.edited)
	if err != nil {
		return fmt.Errorf("%s: %w", r.distribution.main, err)
	}
	s.dropIn = path.Join(path.Dir(imports), dropInName)
	s.files[s.dropIn], s.files[r.distribution.main] = text, changed
	return nil
}

// verify merges the changed configuration as containerd does.
func (r *runtime) verify(ctx context.Context, s *settings, enforce bool, others []string) error {
	merged, err := containerd.LoadConfigFrom(ctx, r.source(s.files), r.distribution.main)
	if err != nil {
		return fmt.Errorf("the changed configuration would be invalid: %w", err)
	}
	if merged.NRIDisabled() {
		return fmt.Errorf("NRI would stay disabled: %s", r.readAfter(merged, s))
	}
	if merged.Verifiers() != r.config.Verifiers() {
		return fmt.Errorf("bin_dir of image verifiers would be %s instead of %s", merged.Verifiers(), r.config.Verifiers())
	}
	if !enforce {
		if slices.ContainsFunc(merged.RequiredPlugins(), isOurs) {
			return fmt.Errorf("another file requires the plugin %s, which audit mode must not: %s", nri.Name,
				r.readAfter(merged, s))
		}
		return nil
	}
	if err := merged.Required(nri.Index, nri.Name); err != nil {
		return fmt.Errorf("%w; %s", err, r.readAfter(merged, s))
	}
	for _, other := range others {
		if !slices.Contains(merged.RequiredPlugins(), other) {
			return fmt.Errorf("plugin %s, which is required today, would not be required any more", other)
		}
	}
	return nil
}

// readAfter names the files that containerd reads after our drop-in.
func (r *runtime) readAfter(merged *containerd.Config, s *settings) string {
	files := merged.Files()
	later := files[slices.Index(files, s.dropIn)+1:]
	if len(later) == 0 {
		return "containerd reads no file after " + s.dropIn
	}
	return fmt.Sprintf("containerd reads %s after %s: remove the setting there, or rename the file",
		strings.Join(later, ", "), s.dropIn)
}
