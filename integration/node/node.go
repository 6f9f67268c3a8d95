package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Config says how a node differs from the usual one. It may be zero but for the tools.
type Config struct {
	Tools *Tools
	// RequiredPlugins are the NRI plugins without which containerd creates no container (its default validator).
	RequiredPlugins []string
	// DisableNRI switches NRI off.
	DisableNRI bool
	// DropIns are files, by name, that containerd's configuration imports in the order of their names. A list in one of
	// them replaces a list that came before.
	DropIns map[string]string
	// Snapshotter keeps root filesystems: overlayfs, or native where the disk is an overlay itself.
	Snapshotter string
}

// Node is containerd and what belongs to it, in a directory of its own. Its methods may be called from several
// goroutines.
type Node struct {
	Tools *Tools
	CRI   *CRI

	config     Config
	directory  *directory
	mutex      sync.Mutex // Guards what follows.
	containerd *process
	daemons    []*Daemon
	closed     bool
}

// Supported says why no node can be booted here; nil: one can.
func Supported() error { return supported() }

// Boot starts a node and waits until it can run pods. Close it. It has no registry and needs none.
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
	if err := n.prepare(); err != nil {
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

// Close ends everything that runs on the node and removes its directory. It may be called again.
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
		// Whatever this leaves, because containerd does not run or is broken on purpose, remove finds. It only is kinder.
		_ = n.CRI.RemoveAllSandboxes(ctx)
		_ = n.CRI.Close()
	}
	n.KillContainerd()
	if err := n.directory.remove(); err != nil {
		return fmt.Errorf("closing a node: %w", err)
	}
	return nil
}

// Path is a path below the node's directory, which goes with the node.
func (n *Node) Path(elements ...string) string { return n.directory.join(elements...) }

// ContainerdSocket is the socket of containerd's gRPC services.
func (n *Node) ContainerdSocket() string { return n.Path("containerd.sock") }

// ContainerdLog is the file of containerd's log.
func (n *Node) ContainerdLog() string { return n.Path("log", "containerd.log") }

// ContainerdConfig is the file of containerd's configuration.
func (n *Node) ContainerdConfig() string { return n.Path("containerd.toml") }

// DropIn writes a file that containerd's configuration imports from its next start on.
func (n *Node) DropIn(name, contents string) error {
	return n.directory.write("conf.d/"+name, []byte(contents))
}

// NRISocket is the socket at which NRI plugins register.
func (n *Node) NRISocket() string { return n.Path("nri.sock") }

// CertsDirectory is containerd's registry configuration (hosts.toml), empty at first: a registry on localhost is
// spoken to by plain HTTP without any.
func (n *Node) CertsDirectory() string { return n.Path("certs.d") }

// VerifierDirectory is where containerd looks for image verifiers; empty at first.
func (n *Node) VerifierDirectory() string { return n.Path("verifiers") }

// most is how much of a log people are shown.
const most = 16 << 10

// tail returns the end of a log for people to read.
func tail(path string) string {
	contents, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(contents[max(0, len(contents)-most):])
}
