package cri

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// maxMessage is the limit of the kubelet's client.
const maxMessage = 16 << 20

// Client is a client of one containerd.
type Client struct {
	runtime    runtime.RuntimeServiceClient
	images     runtime.ImageServiceClient
	connection *grpc.ClientConn
}

// Connect returns a client of the containerd at an address. It connects with the first call.
func Connect(address string) (*Client, error) {
	connection, err := grpc.NewClient("unix://"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd at %s: %w", address, err)
	}
	return &Client{
		runtime: runtime.NewRuntimeServiceClient(connection), images: runtime.NewImageServiceClient(connection),
		connection: connection,
	}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.connection.Close() }

// ImageService returns why the image service does not answer.
func (c *Client) ImageService(ctx context.Context) error {
	_, err := c.images.ImageFsInfo(ctx, &runtime.ImageFsInfoRequest{})
	return err
}
