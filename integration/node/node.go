package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Config configures a node. Only the tools are required.
type Config struct {
	Tools *Tools
	// Containerd is the release of containerd; by default the one that the environment variable COUNTERSIGN_CONTAINERD
	// names, such as 2.3, and else the newest.
	Containerd Release
	// RequiredPlugins are the NRI plugins without which containerd creates no container (its default validator).
	RequiredPlugins []string
	// DisableNRI disables NRI.
	DisableNRI bool
	// DropIns are files, by name, that containerd's configuration imports in the order of their names. A list in one of
	// them replaces earlier ones.
	DropIns map[string]string
	// Snapshotter stores root filesystems: overlayfs, or native if the disk itself is an overlay.
	Snapshotter string
	// Programs is a directory of programs, such as runc, that containerd prefers to those of the tools.
	Programs string
	// Environment is added to the environment of containerd, which has no traces otherwise.
	Environment []string
}

// Node is containerd with everything that it needs, in its own directory. Its methods are safe for concurrent use.
type Node struct {
	Tools *Tools
	CRI   *CRI

	config     Config
	directory  *directory
	mutex      sync.Mutex // Guards the following fields.
	release    release
	containerd *process
	daemons    []*Daemon
	closed     bool
}

// Supported returns why no node can be booted on this machine; nil: one can.
func Supported() error { return supported() }

// Boot starts a node and waits until it can run pods. It needs no registry. The caller must close it.
func Boot(ctx context.Context, config Config) (*Node, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	if config.Tools == nil {
		return nil, errors.New("booting a node: Tools are missing")
	}
	if err := Sweep(); err != nil {
		return nil, err
	}
	directory, err := newDirectory()
	if err != nil {
		return nil, fmt.Errorf("booting a node: %w", err)
	}
	node := &Node{Tools: config.Tools, config: config, directory: directory}
	if err := node.boot(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("booting a node: %w", err), node.Close())
	}
	return node, nil
}

func (n *Node) boot(ctx context.Context) error {
	if err := n.prepare(ctx); err != nil {
		return err
	}
	connection, err := ConnectCRI(n.ContainerdSocket())
	if err != nil {
		return err
	}
	n.CRI = connection
	if err := n.StartContainerd(ctx); err != nil {
		return err
	}
	return n.importSandboxImage(ctx)
}

// Close ends everything that runs on the node and removes its directory. It may be called more than once.
func (n *Node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n.mutex.Lock()
	daemons, closed := n.daemons, n.closed
	n.daemons, n.closed = nil, true
	n.mutex.Unlock()
	if closed {
		return nil
	}
	for _, daemon := range daemons {
		daemon.Kill()
	}
	if n.CRI != nil {
		// If containerd does not run, or a test has broken it, this fails; remove then ends the rest.
		_ = n.CRI.RemoveAllSandboxes(ctx)
		_ = n.CRI.Close()
	}
	n.KillContainerd()
	if err := n.directory.remove(); err != nil {
		return fmt.Errorf("closing a node: %w", err)
	}
	return nil
}

// Path returns a path below the node's directory, which is removed with the node.
func (n *Node) Path(elements ...string) string { return n.directory.join(elements...) }

// ContainerdSocket returns the path of the socket of containerd's gRPC services.
func (n *Node) ContainerdSocket() string { return n.Path("containerd.sock") }

// ContainerdLog returns the path of containerd's log.
func (n *Node) ContainerdLog() string { return n.Path("log", "containerd.log") }

// ContainerdConfig returns the path of containerd's configuration.
func (n *Node) ContainerdConfig() string { return n.Path("containerd.toml") }

// DropIn writes a file that containerd's configuration imports from the next start of containerd on.
func (n *Node) DropIn(name, contents string) error {
	return n.directory.write("conf.d/"+name, []byte(contents))
}

// NRISocket returns the path of the socket at which NRI plugins register.
func (n *Node) NRISocket() string { return n.Path("nri.sock") }

// CertsDirectory returns the path of containerd's registry configuration (hosts.toml), which is empty at first: without
// it, containerd uses plain HTTP for registries on localhost.
func (n *Node) CertsDirectory() string { return n.Path("certs.d") }

// VerifierDirectory returns the path of containerd's directory of image verifiers, which is empty at first.
func (n *Node) VerifierDirectory() string { return n.Path("verifiers") }

// most is the size of the part of a log that is printed.
const most = 16 << 10

// tail returns the end of a log for error output.
func tail(path string) string {
	contents, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(contents[max(0, len(contents)-most):])
}
