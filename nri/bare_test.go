package nri_test

import (
	"context"
	"net"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"
)

// bare is a runtime that accepts registrations and then does what a test specifies: the real one can neither be stopped
// between two steps nor asked what a plugin subscribed to.
type bare struct {
	trunk      net.Conn
	registered chan *api.RegisterPluginRequest
	plugin     api.PluginService
	client     *ttrpc.Client
	server     *ttrpc.Server
}

// serveBare takes over the runtime's end of a connection.
func serveBare(t testing.TB, trunk net.Conn) *bare {
	t.Helper()
	b := &bare{trunk: trunk, registered: make(chan *api.RegisterPluginRequest, 1)}
	mux := multiplex.Multiplex(trunk, multiplex.WithBlockedRead())
	connection, err := mux.Open(multiplex.PluginServiceConn)
	if err != nil {
		t.Fatal(err)
	}
	b.client = ttrpc.NewClient(connection)
	b.plugin = api.NewPluginClient(b.client)
	listener, err := mux.Listen(multiplex.RuntimeServiceConn)
	if err != nil {
		t.Fatal(err)
	}
	b.server, err = ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	api.RegisterRuntimeService(b.server, b)
	go func() { _ = b.server.Serve(context.Background(), listener) }()
	mux.Unblock()
	t.Cleanup(b.die)
	return b
}

// acceptBare waits for a plugin to connect.
func acceptBare(t testing.TB, listener net.Listener) *bare {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		if trunk, err := listener.Accept(); err == nil {
			accepted <- trunk
		}
	}()
	return serveBare(t, await(t, accepted, "a plugin to connect"))
}

func (b *bare) die() {
	b.trunk.Close()
	b.client.Close()
	b.server.Close()
}

// RegisterPlugin implements [api.RuntimeService].
func (b *bare) RegisterPlugin(_ context.Context, r *api.RegisterPluginRequest) (*api.Empty, error) {
	b.registered <- r
	return &api.Empty{}, nil
}

// UpdateContainers implements [api.RuntimeService].
func (b *bare) UpdateContainers(
	context.Context, *api.UpdateContainersRequest,
) (*api.UpdateContainersResponse, error) {
	return &api.UpdateContainersResponse{}, nil
}

func (b *bare) configure(t testing.TB) *api.ConfigureResponse {
	t.Helper()
	response, err := b.plugin.Configure(t.Context(), &api.ConfigureRequest{
		RuntimeName: "containerd", RuntimeVersion: "v2.4.2", RegistrationTimeout: 5000, RequestTimeout: 2000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (b *bare) synchronize(t testing.TB) {
	t.Helper()
	if _, err := b.plugin.Synchronize(t.Context(), &api.SynchronizeRequest{}); err != nil {
		t.Fatal(err)
	}
}

// bareSocket listens where plugins look for NRI.
func bareSocket(t testing.TB) (net.Listener, string) {
	t.Helper()
	socket := t.TempDir() + "/nri.sock"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, socket
}
