package layers_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// subscription is the method with which the daemon receives containerd's events.
const subscription = "/containerd.services.events.v1.Events/Subscribe"

// eventGate passes all calls to containerd, and can hold its events back.
type eventGate struct {
	address    string
	containerd *grpc.ClientConn

	mu   sync.Mutex
	open chan struct{} // Closed while events pass.
}

func newEventGate(t *testing.T, n *node.Node) *eventGate {
	t.Helper()
	g := &eventGate{address: n.Path("events.sock"), open: make(chan struct{})}
	close(g.open)
	g.containerd = rig.Must(grpc.NewClient("unix://"+n.ContainerdSocket(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(frames{}), grpc.MaxCallRecvMsgSize(16<<20))))(t)
	listener := rig.Must((&net.ListenConfig{}).Listen(t.Context(), "unix", g.address))(t)
	server := grpc.NewServer(grpc.ForceServerCodecV2(frames{}), grpc.UnknownServiceHandler(g.pass))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		g.release()
		server.Stop()
		if err := errors.Join(<-served, g.containerd.Close()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// hold holds events back until release is called.
func (g *eventGate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *eventGate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

func (g *eventGate) wait(ctx context.Context) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}

// pass passes a call of any kind, message by message.
func (g *eventGate) pass(_ any, daemon grpc.ServerStream) error {
	method, ok := grpc.Method(daemon.Context())
	if !ok {
		return status.Error(codes.Internal, "the call has no method")
	}
	ctx, cancel := context.WithCancel(daemon.Context())
	defer cancel()
	if sent, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, sent)
	}
	containerd, err := g.containerd.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		for {
			var message frame
			if daemon.RecvMsg(&message) != nil {
				_ = containerd.CloseSend()
				return
			}
			if containerd.SendMsg(&message) != nil {
				return
			}
		}
	}()
	for {
		var message frame
		if err := containerd.RecvMsg(&message); err != nil {
			daemon.SetTrailer(containerd.Trailer())
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if method == subscription {
			g.wait(ctx)
		}
		if err := daemon.SendMsg(&message); err != nil {
			return err
		}
	}
}

// frame is a message as it is on the wire.
type frame []byte

// frames passes messages as they are. Its name is that of the codec whose messages they are.
type frames struct{}

func (frames) Name() string { return "proto" }

func (frames) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*frame))}, nil
}

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*frame) = data.Materialize()
	return nil
}
