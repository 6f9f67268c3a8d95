package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/countersign/countersign/integration/node"
)

// NodeName is the name of the one node of a cluster.
const NodeName = "node-1"

// Config configures a cluster. The node and the tools are required.
type Config struct {
	Node  *node.Node
	Tools *Tools
	// ImageService is the path of the socket of the kubelet's image service. Empty: containerd's.
	ImageService string
	// Kubelet has further fields of the kubelet's configuration.
	Kubelet map[string]any
	// KubeletArguments are further arguments of the kubelet.
	KubeletArguments []string
	// Controllers are the controllers of kube-controller-manager that run, such as deployment-controller.
	Controllers []string
	// RBAC has the API server authorise by roles, and log the requests of service accounts: [Cluster.Requests]. Without
	// it, everybody may do everything.
	RBAC bool
}

// Cluster is a running control plane with one node. Its methods are safe for concurrent use.
type Cluster struct {
	*node.Node

	config Config
	// etcd and apiserver are the ports on which they listen.
	etcd, apiserver int

	mutex        sync.Mutex // Guards the following fields.
	controlPlane map[string]controlled
	kubelet      *node.Process
}

// Boot starts a cluster, and waits until its node is ready. The caller must close it before the node.
func Boot(ctx context.Context, config Config) (*Cluster, error) {
	c := &Cluster{Node: config.Node, config: config, controlPlane: map[string]controlled{}}
	if err := c.boot(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("booting a cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) boot(ctx context.Context) error {
	for _, directory := range []string{Etcd, "apiserver", "kubelet", "static-pods"} {
		if err := os.MkdirAll(c.path(directory), 0o700); err != nil {
			return err
		}
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	if err := c.startControllers(); err != nil {
		return err
	}
	if err := c.StartKubelet(ctx); err != nil {
		return err
	}
	return c.Ready(ctx)
}

// path returns a path below the cluster's directory.
func (c *Cluster) path(elements ...string) string {
	return c.Path(append([]string{"kubernetes"}, elements...)...)
}

// Log returns the path of the log of a program of the control plane, or of the kubelet.
func (c *Cluster) Log(program string) string { return c.Path("log", program+".log") }

// Program returns the path of a program: see [Tools].
func (c *Cluster) Program(name string) string { return c.config.Tools.Path(name) }

// StaticPodDirectory returns the path of the directory of static pods.
func (c *Cluster) StaticPodDirectory() string { return c.path("static-pods") }

// StartKubelet starts the kubelet and does not wait. It has an error if the kubelet runs.
func (c *Cluster) StartKubelet(ctx context.Context) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.kubelet != nil && c.kubelet.Exited() == nil {
		return errors.New("starting the kubelet: it runs")
	}
	arguments, err := c.kubeletArguments(ctx)
	if err != nil {
		return fmt.Errorf("configuring the kubelet: %w", err)
	}
	c.kubelet, err = c.StartProgram(node.Program{
		Path: c.config.Tools.Path("kubelet"), Arguments: arguments, Log: c.Log("kubelet"),
		// The kubelet runs mount and other programs of the host.
		Environment: []string{"PATH=" + filepath.Dir(c.config.Tools.Path("kubelet")) + ":" + os.Getenv("PATH")},
	})
	return err
}

// StopKubelet ends the kubelet. Its pods keep running.
func (c *Cluster) StopKubelet(ctx context.Context) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.kubelet == nil {
		return nil
	}
	stopping := c.kubelet
	c.kubelet = nil
	return stopping.Stop(ctx)
}

// RestartKubelet restarts the kubelet with different additional fields in its configuration. Its pods keep running.
func (c *Cluster) RestartKubelet(ctx context.Context, configuration map[string]any) error {
	if err := c.StopKubelet(ctx); err != nil {
		return err
	}
	c.mutex.Lock()
	c.config.Kubelet = configuration
	c.mutex.Unlock()
	return c.StartKubelet(ctx)
}

// KubeletExited returns an error if the kubelet does not run.
func (c *Cluster) KubeletExited() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.kubelet == nil {
		return errors.New("the kubelet was not started")
	}
	return c.kubelet.Exited()
}

// Ready waits until the node is ready.
func (c *Cluster) Ready(ctx context.Context) error {
	err := node.Until(ctx, "the node to be ready", func(ctx context.Context) error {
		if err := c.KubeletExited(); err != nil {
			return err
		}
		status, err := c.Kubectl(ctx, "get", "node", NodeName, "-o",
			`jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && status != "True" {
			err = fmt.Errorf("its condition Ready is %q", status)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, node.Tail(c.Log("kubelet")))
	}
	return nil
}

// Close ends the control plane and the kubelet. Closing the node removes what is left of the pods.
func (c *Cluster) Close() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.kubelet != nil {
		c.kubelet.Kill()
	}
	for _, started := range c.controlPlane {
		started.process.Kill()
	}
	c.kubelet = nil
	clear(c.controlPlane)
	return nil
}
