package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// CRI is a client of containerd's CRI. Errors are the unchanged gRPC errors.
type CRI struct {
	Runtime cri.RuntimeServiceClient
	Images  cri.ImageServiceClient

	connection *grpc.ClientConn
}

// ConnectCRI connects to a containerd's socket, and waits for the socket if necessary. The caller must close the
// connection.
func ConnectCRI(socket string) (*CRI, error) {
	// The limits of the kubelet's client: 16 MiB per message, and two minutes per call.
	connection, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "timeout": "120s"}]}`),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)), grpc.WithConnectParams(backoff()))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", socket, err)
	}
	return &CRI{
		Runtime: cri.NewRuntimeServiceClient(connection), Images: cri.NewImageServiceClient(connection),
		connection: connection,
	}, nil
}

// Close ends the connection.
func (c *CRI) Close() error { return c.connection.Close() }

// ready waits until the runtime and its network report that they are ready.
func (c *CRI) ready(ctx context.Context, alive func() error) error {
	return until(ctx, "containerd to be ready", func(ctx context.Context) error {
		if err := alive(); err != nil {
			return stopAsking(err)
		}
		answer, err := c.Runtime.Status(ctx, &cri.StatusRequest{})
		if err != nil {
			return err
		}
		for _, condition := range answer.GetStatus().GetConditions() {
			vital := condition.GetType() == "RuntimeReady" || condition.GetType() == "NetworkReady"
			if vital && !condition.GetStatus() {
				return errors.New(condition.GetType() + ": " + condition.GetMessage())
			}
		}
		return nil
	})
}

// ImageID returns the ID of an image, which is the digest of its config, or "" if the image is not on the node.
func (c *CRI) ImageID(ctx context.Context, reference string) (string, error) {
	answer, err := c.Images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: reference}})
	return answer.GetImage().GetId(), err
}

// RemoveImage removes an image and all its names.
func (c *CRI) RemoveImage(ctx context.Context, reference string) error {
	_, err := c.Images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: reference}})
	return err
}

// PullImage pulls an image for a sandbox (nil: for none) and returns its ID.
func (c *CRI) PullImage(
	ctx context.Context, reference string, auth *cri.AuthConfig, sandbox *cri.PodSandboxConfig,
) (string, error) {
	answer, err := c.Images.PullImage(ctx, &cri.PullImageRequest{
		Image: &cri.ImageSpec{Image: reference, UserSpecifiedImage: reference}, Auth: auth, SandboxConfig: sandbox,
	})
	return answer.GetImageRef(), err
}

// Status returns the status of a container.
func (c *CRI) Status(ctx context.Context, container string) (*cri.ContainerStatus, error) {
	answer, err := c.Runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: container})
	return answer.GetStatus(), err
}

// WaitForExit waits until a container has ended and returns its exit code.
func (c *CRI) WaitForExit(ctx context.Context, container string) (int, error) {
	var status *cri.ContainerStatus
	err := until(ctx, "container "+container+" to end", func(ctx context.Context) (err error) {
		if status, err = c.Status(ctx, container); err != nil {
			return stopAsking(err)
		}
		if status.GetState() != cri.ContainerState_CONTAINER_EXITED {
			return errors.New("it is in state " + status.GetState().String())
		}
		return nil
	})
	return int(status.GetExitCode()), err
}

// Exec runs a command in a container and returns what it prints on standard output.
func (c *CRI) Exec(ctx context.Context, container string, command ...string) (string, error) {
	answer, err := c.Runtime.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: container, Cmd: command, Timeout: 10})
	if err != nil {
		return "", err
	}
	if answer.GetExitCode() != 0 {
		return "", fmt.Errorf("running %q: exit code %d: %s", command, answer.GetExitCode(), answer.GetStderr())
	}
	return string(answer.GetStdout()), nil
}

// RemoveSandbox stops and removes a sandbox with its containers.
func (c *CRI) RemoveSandbox(ctx context.Context, sandbox string) error {
	if _, err := c.Runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: sandbox}); err != nil {
		return err
	}
	_, err := c.Runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox})
	return err
}

// RemoveAllSandboxes stops and removes all sandboxes.
func (c *CRI) RemoveAllSandboxes(ctx context.Context) error {
	answer, err := c.Runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	errs := make(chan error)
	for _, sandbox := range answer.GetItems() {
		go func() { errs <- c.RemoveSandbox(ctx, sandbox.GetId()) }()
	}
	var problem error
	for range answer.GetItems() {
		problem = errors.Join(problem, <-errs)
	}
	return problem
}

// backoff makes the client reconnect quickly after containerd restarts.
func backoff() grpc.ConnectParams {
	quick := grpcbackoff.Config{
		BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond,
	}
	return grpc.ConnectParams{Backoff: quick, MinConnectTimeout: time.Second}
}
