package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// idlePlugin is the argument that makes this program an NRI plugin that does nothing: what countersign is compared to.
const idlePlugin = "idle-plugin"

type idle struct{ registered chan<- struct{} }

// Synchronize says that it is registered.
//
//nolint:unparam // The signature is NRI's.
func (i idle) Synchronize(context.Context, []*api.PodSandbox, []*api.Container) ([]*api.ContainerUpdate, error) {
	close(i.registered)
	return nil, nil
}

// ValidateContainerAdjustment admits everything.
func (idle) ValidateContainerAdjustment(context.Context, *api.ValidateContainerAdjustmentRequest) error {
	return nil
}

// runIdlePlugin registers with NRI, closes its standard output when it has, and serves until the context ends.
func runIdlePlugin(ctx context.Context, socket string) error {
	registered := make(chan struct{})
	plugin, err := stub.New(idle{registered}, stub.WithPluginName("idle"), stub.WithPluginIdx("10"),
		stub.WithSocketPath(socket), stub.WithOnClose(func() {}))
	if err != nil {
		return fmt.Errorf("preparing the idle plugin: %w", err)
	}
	go func() {
		<-registered
		_ = os.Stdout.Close()
	}()
	if err := plugin.Run(ctx); ctx.Err() == nil {
		return fmt.Errorf("running the idle plugin: %w", err)
	}
	return nil
}

// startIdlePlugin starts this program again as the idle plugin and waits until it is registered.
func startIdlePlugin(ctx context.Context, socket string) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	command := exec.CommandContext(ctx, self, idlePlugin, socket)
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("preparing the idle plugin: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the idle plugin: %w", err)
	}
	if _, err := output.Read(make([]byte, 1)); err == nil {
		return nil, fmt.Errorf("the idle plugin printed something")
	}
	return func() error {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			return fmt.Errorf("ending the idle plugin: %w", err)
		}
		_ = command.Wait()
		return nil
	}, nil
}
