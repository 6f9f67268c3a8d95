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
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// tool is one program in the cache, and how to build it.
type tool struct {
	name, pkg string
	tags      string
	cgo       bool
	// product reports whether the package is in this module and not in integration/tools.
	product bool
}

// tools lists the programs. runc enters namespaces in C, so it needs cgo. Without the tag seccomp it needs no C library
// except libc, and lacks only seccomp profiles. containerd is built without the snapshotters that no test uses.
func tools() []tool {
	const containerd = "github.com/containerd/containerd/v2/cmd/"
	const slim = "no_btrfs no_zfs no_devmapper"
	return []tool{
		{name: "containerd", pkg: containerd + "containerd", tags: slim},
		{name: "containerd-shim-runc-v2", pkg: containerd + "containerd-shim-runc-v2", tags: slim},
		{name: "ctr", pkg: containerd + "ctr", tags: slim},
		{name: "runc", pkg: "github.com/opencontainers/runc", cgo: true},
		{name: "loopback", pkg: "github.com/containernetworking/plugins/plugins/main/loopback"},
		{name: "registry", pkg: "github.com/distribution/distribution/v3/cmd/registry"},
		{name: "crane", pkg: "github.com/google/go-containerregistry/cmd/crane"},
		{name: "cosign", pkg: "github.com/sigstore/cosign/v3/cmd/cosign"},
		{name: "witness", pkg: "./integration/node/witness", product: true},
	}
}

// Tools are the built programs of a node. Make them with [BuildTools].
type Tools struct {
	// Directory contains the programs and no other executable.
	Directory  string
	repository string
	witness    func() (v1.Layer, error)
}

// Path returns the path of a program: containerd, ctr, runc, registry, crane, cosign, ….
func (t *Tools) Path(name string) string { return filepath.Join(t.Directory, name) }

// BuildTools builds the programs that are not yet in the cache, .cache/tools in the repository, and reports its
// progress. The cache key covers everything that can change a program: the module integration/tools, the version of Go,
// the flags. Several processes may call it at once: one builds, the others wait. It takes some minutes without any
// caches, and milliseconds with a complete cache.
func BuildTools(ctx context.Context, progress io.Writer) (*Tools, error) {
	repository, err := findRepository()
	if err != nil {
		return nil, err
	}
	return buildTools(ctx, repository, tools(), progress)
}

func buildTools(ctx context.Context, repository string, list []tool, progress io.Writer) (*Tools, error) {
	key, err := cacheKey(ctx, repository, list)
	if err != nil {
		return nil, err
	}
	result := &Tools{Directory: filepath.Join(repository, ".cache", "tools", key), repository: repository}
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
		fmt.Fprintf(progress, "building %s (%d/%d) …\n", tool.name, i+1, len(missing))
		began := time.Now()
		if err := result.build(ctx, tool, progress); err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "built %s in %s\n", tool.name, time.Since(began).Round(100*time.Millisecond))
	}
	return result, nil
}

func (t *Tools) missing(list []tool) []tool {
	var missing []tool
	for _, tool := range list {
		if _, err := os.Stat(t.Path(tool.name)); err != nil {
			missing = append(missing, tool)
		}
	}
	return missing
}

// cacheKey hashes everything that affects the programs.
func cacheKey(ctx context.Context, repository string, list []tool) (string, error) {
	module := filepath.Join(repository, "integration", "tools")
	version, err := output(ctx, module, "go", "env", "GOVERSION", "GOARCH")
	if err != nil {
		return "", fmt.Errorf("asking for the version of Go: %w", err)
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%v\n", version, list)
	for _, path := range []string{
		filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum"),
		filepath.Join(repository, "integration", "node", "witness", "main.go"),
	} {
		contents, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("hashing what tools are built from: %w", err)
		}
		fmt.Fprintf(hash, "%d\n", len(contents))
		hash.Write(contents)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
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
