package nri

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/containerd/nri/pkg/api"
	nrinet "github.com/containerd/nri/pkg/net"
	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"
)

// StartedByContainerd reports whether containerd started the program, from /opt/nri/plugins. Its connection is then an
// open file.
func StartedByContainerd() bool { return os.Getenv(api.PluginSocketEnvVar) != "" }

// Decline answers containerd, which started this program, that it is not a plugin, with the reason. containerd logs
// that as a warning, ends this process, and accepts a plugin of the same name at its socket (NRI 0.11 to 0.12.5,
// pkg/adaptation: startPlugins). Decline returns when containerd has closed the connection.
//
// The answer is an error to the configuration, and not a plugin without subscriptions: containerd would count that one
// as the required plugin, and create containers while the daemon is disconnected. NRI's stub closes the connection
// before such an answer is written, so it is not used here.
func Decline(ctx context.Context, reason string) error {
	descriptor, err := strconv.Atoi(os.Getenv(api.PluginSocketEnvVar))
	if err != nil {
		return fmt.Errorf("reading %s: %w", api.PluginSocketEnvVar, err)
	}
	connection, err := nrinet.NewFdConn(descriptor)
	if err != nil {
		return fmt.Errorf("taking over the connection of %s: %w", api.PluginSocketEnvVar, err)
	}
	defer connection.Close()
	if err := decline(ctx, connection, reason); err != nil {
		return fmt.Errorf("declining to be a plugin of containerd: %w", err)
	}
	return nil
}

func decline(ctx context.Context, connection net.Conn, reason string) error {
	mux := multiplex.Multiplex(connection)
	defer mux.Close()
	requests, err := mux.Listen(multiplex.PluginServiceConn)
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	defer server.Close()
	declining := &declining{reason: reason, asked: make(chan struct{}, 1)}
	api.RegisterPluginService(server, declining)
	go func() { _ = server.Serve(ctx, requests) }()
	responses, err := mux.Open(multiplex.RuntimeServiceConn)
	if err != nil {
		return err
	}
	closed := make(chan struct{})
	client := ttrpc.NewClient(responses, ttrpc.WithOnClose(func() { close(closed) }))
	defer client.Close()
	registration := &api.RegisterPluginRequest{PluginName: Name, PluginIdx: Index}
	if _, err := api.NewRuntimeClient(client).RegisterPlugin(ctx, registration); err != nil {
		return err
	}
	select {
	case <-closed:
	case <-ctx.Done():
	}
	select {
	case <-declining.asked:
		return nil
	default:
		return errors.New("containerd did not ask for the plugin's configuration")
	}
}

// declining answers the first request to a plugin, after which there is no other.
type declining struct {
	api.PluginService

	reason string
	asked  chan struct{}
}

// Configure implements [api.PluginService].
func (d *declining) Configure(context.Context, *api.ConfigureRequest) (*api.ConfigureResponse, error) {
	select {
	case d.asked <- struct{}{}:
	default:
	}
	return nil, errors.New(d.reason)
}
