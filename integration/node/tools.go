package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Recipe is one program in the cache, and how to build it.
type Recipe struct {
	// Name is the file name of the program, and Package what it is built from.
	Name, Package string
	// Module is the directory of the module that pins it, relative to the repository. Empty: integration/tools.
	Module string
	Tags   string
	// Cgo requires a C compiler for the build, which is installed if there is none.
	Cgo bool
	// Library is a C library that it needs, by its name in pkg-config, and LibraryPackage the Debian package that has it.
	Library, LibraryPackage string
}

// module returns the directory of the module, relative to the repository.
func (r Recipe) module() string {
	if r.Module == "" {
		return "integration/tools"
	}
	return r.Module
}

// tools lists the programs. runc enters namespaces in C, so it needs cgo. Without the tag seccomp it needs no C library
// except libc, and lacks only seccomp profiles. containerd is built without the snapshotters that no test uses.
func tools() []Recipe {
	return append(containerdTools(""), []Recipe{
		{Name: "runc", Package: "github.com/opencontainers/runc", Cgo: true},
		{Name: "loopback", Package: "github.com/containernetworking/plugins/plugins/main/loopback"},
		{Name: "registry", Package: "github.com/distribution/distribution/v3/cmd/registry"},
		{Name: "crane", Package: "github.com/google/go-containerregistry/cmd/crane"},
		{Name: "cosign", Package: "github.com/sigstore/cosign/v3/cmd/cosign"},
		{Name: "witness", Package: "./integration/node/witness", Module: "."},
	}...)
}

// containerdTools lists the programs of one version of containerd, which a module pins.
func containerdTools(module string) []Recipe {
	const containerd = "github.com/containerd/containerd/v2/cmd/"
	const slim = "no_btrfs no_zfs no_devmapper"
	return []Recipe{
		{Name: "containerd", Package: containerd + "containerd", Module: module, Tags: slim},
		{Name: "containerd-shim-runc-v2", Package: containerd + "containerd-shim-runc-v2", Module: module, Tags: slim},
		{Name: "ctr", Package: containerd + "ctr", Module: module, Tags: slim},
	}
}

// Tools are the built programs of a node. Make them with [BuildTools].
type Tools struct {
	// Directory contains the programs and no other executable.
	Directory  string
	repository string
	progress   io.Writer
	witness    func() (v1.Layer, error)
}

// Path returns the path of a program: containerd, ctr, runc, registry, crane, cosign, ….
func (t *Tools) Path(name string) string { return filepath.Join(t.Directory, name) }

// BuildTools builds the programs that are not yet in the cache, .cache/tools in the repository, and reports its
// progress. The cache key covers everything that can change a program: the modules that pin them, the version of Go,
// the flags. Several processes may call it at once: one builds, the others wait. It takes some minutes without any
// caches, and milliseconds with a complete cache. Another release of containerd than the newest is built when a node is
// booted with it.
func BuildTools(ctx context.Context, progress io.Writer) (*Tools, error) {
	repository, err := findRepository()
	if err != nil {
		return nil, err
	}
	return buildTools(ctx, repository, tools(), progress)
}

// BuildPrograms is like [BuildTools] for programs that not every node needs.
func BuildPrograms(ctx context.Context, list []Recipe, progress io.Writer) (*Tools, error) {
	repository, err := findRepository()
	if err != nil {
		return nil, err
	}
	return buildTools(ctx, repository, list, progress)
}

func buildTools(ctx context.Context, repository string, list []Recipe, progress io.Writer) (*Tools, error) {
	key, err := cacheKey(ctx, repository, list)
	if err != nil {
		return nil, err
	}
	result := &Tools{
		Directory: filepath.Join(repository, ".cache", "tools", key), repository: repository, progress: progress,
	}
	result.witness = sync.OnceValues(func() (v1.Layer, error) { return witnessLayer(result.Path("witness")) })
	if len(result.missing(list)) == 0 {
		return result, nil
	}
	if err := os.MkdirAll(result.Directory, 0o755); err != nil {
		return nil, fmt.Errorf("making the cache of tools: %w", err)
	}
	unlock, err := lockFile(ctx, result.Directory+".lock", progress)
	if err != nil {
		return nil, err
	}
	defer unlock()
	missing := result.missing(list)
	for i, tool := range missing {
		fmt.Fprintf(progress, "building %s (%d/%d) …\n", tool.Name, i+1, len(missing))
		began := time.Now()
		if err := result.build(ctx, tool, progress); err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "built %s in %s\n", tool.Name, time.Since(began).Round(100*time.Millisecond))
	}
	return result, nil
}

func (t *Tools) missing(list []Recipe) []Recipe {
	var missing []Recipe
	for _, tool := range list {
		if _, err := os.Stat(t.Path(tool.Name)); err != nil {
			missing = append(missing, tool)
		}
	}
	return missing
}

// cacheKey hashes everything that affects the programs.
func cacheKey(ctx context.Context, repository string, list []Recipe) (string, error) {
	version, err := output(ctx, repository, "go", "env", "GOVERSION", "GOARCH")
	if err != nil {
		return "", fmt.Errorf("asking for the version of Go: %w", err)
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%v\n", version, list)
	paths := []string{filepath.Join(repository, "integration", "node", "witness", "main.go")}
	for _, module := range modulesOf(list) {
		paths = append(paths, filepath.Join(repository, module, "go.mod"), filepath.Join(repository, module, "go.sum"))
	}
	for _, path := range paths {
		contents, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("hashing what tools are built from: %w", err)
		}
		fmt.Fprintf(hash, "%d\n", len(contents))
		hash.Write(contents)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// modulesOf returns the modules that programs are pinned by, without the product's own: Go's cache knows what changed
// there.
func modulesOf(list []Recipe) (modules []string) {
	for _, recipe := range list {
		if module := recipe.module(); module != "." && !slices.Contains(modules, module) {
			modules = append(modules, module)
		}
	}
	return modules
}

// findRepository finds this module's root above the working directory: tests run in the directory of their package.
func findRepository() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the repository: %w", err)
	}
	for {
		contents, err := os.ReadFile(filepath.Join(directory, "go.mod"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("looking for the repository: %w", err)
		}
		if strings.HasPrefix(string(contents), "module github.com/countersign/countersign\n") {
			return directory, nil
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", errors.New("looking for the repository: run this somewhere below its root")
		}
		directory = parent
	}
}
