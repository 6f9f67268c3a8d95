package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Release is a series of releases of containerd. The newest version of it that the Go module proxy has is pinned.
type Release string

// The releases that a node can run.
const (
	Containerd22 Release = "2.2" // 2.2.9
	Containerd23 Release = "2.3" // 2.3.7
	Containerd24 Release = "2.4" // 2.4.2
)

// newest is the release that runs unless another one is wanted.
const newest = Containerd24

// releaseVariable is the environment variable that names the release of all nodes whose [Config] names none.
const releaseVariable = "COUNTERSIGN_CONTAINERD"

// Releases returns the releases that a node can run, the oldest first.
func Releases() []Release { return []Release{Containerd22, Containerd23, Containerd24} }

// DefaultRelease returns the release of a node whose [Config] names none.
func DefaultRelease() Release { return cmp.Or(Release(os.Getenv(releaseVariable)), newest) }

// module returns the module in the repository that pins a release; empty: the one of all other programs. The
// requirements of two releases cannot be in one.
func (r Release) module() (string, error) {
	switch r {
	case Containerd22:
		return "integration/tools/containerd22", nil
	case Containerd23:
		return "integration/tools/containerd23", nil
	case Containerd24:
		return "", nil
	default:
		return "", fmt.Errorf("no module pins containerd %q: %v are there", string(r), Releases())
	}
}

// ImagesReported reports whether containerd reports to NRI plugins which image a container runs.
func (r Release) ImagesReported() bool { return r == Containerd24 }

// release is what a node runs.
type release struct {
	Release
	// directory contains containerd, its shim and ctr.
	directory string
}

// containerd returns a release of containerd, and builds its programs if they are not in the cache.
func (t *Tools) containerd(ctx context.Context, wanted Release) (release, error) {
	wanted = cmp.Or(wanted, DefaultRelease())
	module, err := wanted.module()
	if err != nil {
		return release{}, err
	}
	if module == "" {
		return release{wanted, t.Directory}, nil
	}
	built, err := buildTools(ctx, t.repository, containerdTools(module), t.progress)
	if err != nil {
		return release{}, err
	}
	return release{wanted, built.Directory}, nil
}

// defaultConfig returns the release's own default configuration.
func (r release) defaultConfig(ctx context.Context) (string, error) {
	return output(ctx, r.directory, filepath.Join(r.directory, "containerd"), "config", "default")
}

// Release returns the release of containerd that the node runs.
func (n *Node) Release() Release {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.release.Release
}

// ReplaceContainerd stops containerd, and starts another release of it with the same state and the same settings. As on
// an upgrade of a node, containers go on running.
func (n *Node) ReplaceContainerd(ctx context.Context, with Release) error {
	if with == "" {
		return errors.New("replacing containerd: no release is given")
	}
	if err := n.StopContainerd(ctx); err != nil {
		return err
	}
	if err := n.useRelease(ctx, with); err != nil {
		return err
	}
	return n.StartContainerd(ctx)
}

// useRelease makes the next start of containerd one of a release.
func (n *Node) useRelease(ctx context.Context, wanted Release) error {
	found, err := n.Tools.containerd(ctx, wanted)
	if err != nil {
		return err
	}
	configuration, err := n.containerdConfig(ctx, found)
	if err != nil {
		return fmt.Errorf("configuring containerd %s: %w", found.Release, err)
	}
	if err := replace(n.ContainerdConfig(), configuration); err != nil {
		return err
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.release = found
	return nil
}
