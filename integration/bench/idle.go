package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// idlePlugin is the argument that makes this program an NRI plugin that does nothing, as a baseline for countersign.
const idlePlugin = "idle-plugin"

type idle struct {
	registered chan<- struct{}
	// stat, if set, requests the container's snapshot and records the duration.
	stat func(ctx context.Context, container string) error
}

// Synchronize signals that the plugin is registered.
//
//nolint:unparam // The signature is NRI's.
func (i idle) Synchronize(context.Context, []*api.PodSandbox, []*api.Container) ([]*api.ContainerUpdate, error) {
	close(i.registered)
	return nil, nil
}

// ValidateContainerAdjustment admits everything.
func (i idle) ValidateContainerAdjustment(
	ctx context.Context, request *api.ValidateContainerAdjustmentRequest,
) error {
	if i.stat == nil {
		return nil
	}
	return i.stat(ctx, request.GetContainer().GetId())
}

// runIdlePlugin registers with NRI, whose socket is its first argument, closes its standard output afterwards, and
// serves until the context ends. With containerd's socket and a file as further arguments, it requests each container's
// snapshot when the container is validated, or with aroundValidation before and after that, and finally writes
// the durations in seconds to the file.
func runIdlePlugin(ctx context.Context, arguments []string) error {
	registered := make(chan struct{})
	var handler any = idle{registered: registered}
	if len(arguments) > 1 {
		stats, err := newStats(arguments[1])
		if err != nil {
			return err
		}
		defer stats.write(arguments[2])
		handler = idle{registered, stats.take}
		if slices.Contains(arguments, aroundValidation) {
			handler = around{registered, stats.take}
		}
	}
	plugin, err := stub.New(handler, stub.WithPluginName("idle"), stub.WithPluginIdx("10"),
		stub.WithSocketPath(arguments[0]), stub.WithOnClose(func() {}))
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

// startIdlePlugin starts this program as the idle plugin, and waits until it is registered.
func startIdlePlugin(ctx context.Context, arguments ...string) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	command := exec.CommandContext(ctx, self, append([]string{idlePlugin}, arguments...)...)
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

// stats are the durations of requests for snapshots in the same situation as countersign's: in a plugin that was idle
// before, while containerd waits for its answer.
type stats struct {
	snapshots snapshots.Snapshotter
	close     func() error
	seconds   []float64
}

func newStats(socket string) (*stats, error) {
	containerd, err := client.New(socket, client.WithDefaultNamespace("k8s.io"))
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd: %w", err)
	}
	return &stats{snapshots: containerd.SnapshotService("overlayfs"), close: containerd.Close}, nil
}

// take is called for one container at a time, because NRI calls are serialised.
func (s *stats) take(ctx context.Context, container string) error {
	start := time.Now()
	_, err := s.snapshots.Stat(namespaces.WithNamespace(ctx, "k8s.io"), container)
	s.seconds = append(s.seconds, time.Since(start).Seconds())
	return err
}

func (s *stats) write(file string) {
	raw, err := json.Marshal(s.seconds)
	if err := errors.Join(err, os.WriteFile(file, raw, 0o600), s.close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
