package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/cri"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

// readTimeout limits each thing that is read from a node: a process that does not answer is reported as such.
const readTimeout = 3 * time.Second

// Node is what the checks need to know about a node.
type Node struct {
	Config Known[*conf.Config]
	// Version is containerd's version, and Started when it was started.
	Version Known[string]
	Started Known[time.Time]
	// Containerd is containerd's configuration, as the files have it now.
	Containerd Known[*containerd.Config]
	// Remote are containerd's remote snapshotters.
	Remote Known[[]string]
	// NRI is why NRI's socket accepts no connection.
	NRI error
	// Daemon is what the daemon reports.
	Daemon   Known[daemon.Status]
	Policies Policies
	// Hosts and Lookasides are the problems with hosts.toml files and with registries.d.
	Hosts, Lookasides []error
	// Supervisor is what runs the daemon.
	Supervisor Known[Supervisor]
	// Disk is the file system of the evidence.
	Disk  Known[Disk]
	Clock Clock
	// Containers are the running containers, and Kubelet is the version of an installed kubelet; empty: none is installed.
	Containers Known[[]cri.Container]
	Kubelet    Known[string]
	// Canaries are nil if they were not tried.
	Canaries *Canaries
	// ImageService is why the CRI image service of the daemon does not answer.
	ImageService error
}

// Policies are the policy documents of a node, as the files have them now.
type Policies struct {
	Set    *policy.Set
	Status files.Status
	// Ignored are the files that are not documents, because of their names.
	Ignored []files.IgnoredEntry
	Kinds   policy.Kinds
}

// Options say where a node's files are.
type Options struct {
	// Config is the configuration file of countersign; empty: the default.
	Config string
	// Containerd is containerd's main configuration file; empty: the one of the running containerd, or else its default.
	Containerd string
	// Canaries says whether containers are created to prove that policies are enforced.
	Canaries bool
}

// Read reads what the checks need to know, all at the same time.
func Read(ctx context.Context, options Options) *Node {
	node := &Node{}
	node.Config.Value, node.Config.Err = conf.Read(options.Config)
	node.Supervisor = readSupervisor(ctx)
	node.Clock = readClock(node.Config.Value)
	if node.Config.Err != nil {
		return node
	}
	config := node.Config.Value
	address := config.Containerd.Address
	var group sync.WaitGroup
	read := func(part func(context.Context)) {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, readTimeout)
			defer cancel()
			part(ctx)
		})
	}
	read(func(ctx context.Context) { node.readContainerd(ctx, address, options.Containerd) })
	read(func(ctx context.Context) {
		node.Remote.Value, node.Remote.Err = containerd.RemoteSnapshotters(ctx, address)
	})
	read(func(ctx context.Context) { node.NRI = dial(ctx, config.Containerd.NRISocket) })
	read(func(ctx context.Context) {
		node.Daemon.Value, node.Daemon.Err = daemon.ReadStatus(ctx, socket.NewClient(config.Listen.Socket))
	})
	read(func(context.Context) { node.Policies = readPolicies(config) })
	read(func(context.Context) { node.Hosts, node.Lookasides = registryProblems(config) })
	read(func(context.Context) { node.Disk = readDisk(config.Evidence.Directory) })
	read(func(ctx context.Context) { node.readContainers(ctx, address) })
	read(func(ctx context.Context) { node.ImageService = imageService(ctx, config.CRIProxy.Socket) })
	if options.Canaries {
		group.Go(func() {
			found := RunCanaries(ctx, config)
			node.Canaries = &found
		})
	}
	group.Wait()
	return node
}

// readContainerd reads the version and the configuration of containerd. If none runs at the default address, it reads
// the file that one would read there; distributions with another address have another file.
func (n *Node) readContainerd(ctx context.Context, address, path string) {
	n.Version.Value, n.Version.Err = containerd.Version(ctx, address)
	n.Started.Value, n.Started.Err = containerd.Started(ctx, address)
	if path == "" {
		path, n.Containerd.Err = containerd.ConfigPath(ctx, address)
	}
	stopped := errors.Is(n.Version.Err, fs.ErrNotExist) || errors.Is(n.Version.Err, syscall.ECONNREFUSED)
	if path == "" && stopped && address == conf.Default().Containerd.Address {
		path, n.Containerd.Err = containerd.DefaultConfig, nil
	}
	if n.Containerd.Err == nil {
		n.Containerd.Value, n.Containerd.Err = containerd.LoadConfigFrom(ctx, containerd.OwnSource(path), path)
	}
}

func (n *Node) readContainers(ctx context.Context, address string) {
	n.Kubelet.Value, n.Kubelet.Err = kubeletVersion(ctx)
	client, err := cri.Connect(address)
	if err != nil {
		n.Containers.Err = err
		return
	}
	defer client.Close()
	n.Containers.Value, n.Containers.Err = client.Running(ctx)
}

func readPolicies(config *conf.Config) Policies {
	kinds := daemon.RequirementKinds(nil)
	documents := files.Open(daemon.Documents(config, kinds))
	found := Policies{Set: documents.Current(), Status: documents.Status(), Kinds: kinds}
	if config.Policy.Directory != "" {
		// If the directory cannot be read, the status says so.
		found.Ignored, _ = files.Ignored(config.Policy.Directory)
	}
	return found
}

// registryProblems returns the problems with hosts.toml files, and with registries.d.
func registryProblems(config *conf.Config) (hosts, lookasides []error) {
	registries := daemon.Registries(config, nil)
	hosts = registries.Client.Problems()
	return hosts, registries.Problems()[len(hosts):]
}

// dial returns why a socket accepts no connection.
func dial(ctx context.Context, path string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return connection.Close()
}

// imageService returns why the CRI image service at a socket does not answer. An empty socket: there is none.
func imageService(ctx context.Context, path string) error {
	if path == "" {
		return nil
	}
	client, err := cri.Connect(path)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ImageService(ctx); err != nil {
		return fmt.Errorf("calling the image service at %s: %w", path, err)
	}
	return nil
}

// config returns the configuration, or why it is not known.
func (n *Node) config() (*conf.Config, error) {
	if n.Config.Err != nil {
		return nil, withoutConfig()
	}
	return n.Config.Value, nil
}
