package containerd

import (
	"context"
	"fmt"
	"net"

	"github.com/containerd/containerd/v2/client"
)

// Connect returns a client of the containerd at an address. It dials the socket once before: the client would wait ten
// seconds if containerd does not listen.
func Connect(ctx context.Context, address, namespace string) (*client.Client, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd: %w", err)
	}
	_ = connection.Close()
	containerd, err := client.New(address, client.WithDefaultNamespace(namespace))
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd: %w", err)
	}
	return containerd, nil
}

// Version returns the version of the containerd at an address.
func Version(ctx context.Context, address string) (string, error) {
	containerd, err := Connect(ctx, address, "")
	if err != nil {
		return "", err
	}
	defer containerd.Close()
	version, err := containerd.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("requesting containerd's version: %w", err)
	}
	return version.Version, nil
}
