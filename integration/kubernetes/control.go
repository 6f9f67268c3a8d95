package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/countersign/countersign/integration/node"
)

// Programs of the control plane.
const (
	Etcd      = "etcd"
	APIServer = "kube-apiserver"
)

// controlled is a program of the control plane.
type controlled struct {
	program node.Program
	process *node.Process
}

// start starts a program of the control plane.
func (c *Cluster) start(program node.Program) error {
	process, err := c.StartProgram(program)
	if err != nil {
		return err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.controlPlane[filepath.Base(program.Path)] = controlled{program, process}
	return nil
}

// StopControlPlane kills a program of the control plane.
func (c *Cluster) StopControlPlane(name string) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	stopping, ok := c.controlPlane[name]
	if !ok {
		return fmt.Errorf("stopping %s: it was not started", name)
	}
	stopping.process.Kill()
	return nil
}

// Pid returns the process ID of a program of the control plane.
func (c *Cluster) Pid(name string) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.controlPlane[name].process.Pid()
}

// StartControlPlane starts a program of the control plane again. It waits for the API server.
func (c *Cluster) StartControlPlane(ctx context.Context, name string) error {
	c.mutex.Lock()
	stopped, ok := c.controlPlane[name]
	c.mutex.Unlock()
	if !ok {
		return fmt.Errorf("starting %s: it was not started before", name)
	}
	if err := c.start(stopped.program); err != nil {
		return err
	}
	if name != APIServer {
		return nil
	}
	return c.apiServerReady(ctx)
}

// SaveEtcd copies etcd's data, which [Cluster.RestoreEtcd] restores. The API server is stopped meanwhile.
func (c *Cluster) SaveEtcd(ctx context.Context) error {
	return c.offline(ctx, func() error {
		return errors.Join(os.RemoveAll(c.path("etcd-saved")), os.CopyFS(c.path("etcd-saved"), os.DirFS(c.path(Etcd))))
	})
}

// RestoreEtcd replaces etcd's data by what was saved. Its revision goes back.
func (c *Cluster) RestoreEtcd(ctx context.Context) error {
	return c.offline(ctx, func() error {
		return errors.Join(os.RemoveAll(c.path(Etcd)), os.CopyFS(c.path(Etcd), os.DirFS(c.path("etcd-saved"))),
			os.Chmod(c.path(Etcd), 0o700))
	})
}

// offline stops the API server and etcd, and starts them again.
func (c *Cluster) offline(ctx context.Context, change func() error) error {
	if err := errors.Join(c.StopControlPlane(APIServer), c.StopControlPlane(Etcd)); err != nil {
		return err
	}
	if err := change(); err != nil {
		return fmt.Errorf("changing etcd's data: %w", err)
	}
	return errors.Join(c.StartControlPlane(ctx, Etcd), c.StartControlPlane(ctx, APIServer))
}

// Kubeconfig returns the path of the configuration of a client that may do everything.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }
