package cri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/countersign/countersign/policy"
)

// The one service that the proxy serves, and its one method that it decodes (k8s.io/cri-api, runtime/v1/api.proto).
const (
	service   = "/runtime.v1.ImageService/"
	pullImage = service + "PullImage"
)

// maxMessage limits a message, in bytes. The kubelet (k8s.io/cri-client, maxMsgSize) and, by default, containerd accept
// 16 MiB, so the proxy must not accept less.
const maxMessage = 32 << 20

// window is the size of the flow-control windows, in bytes. A fixed size spares each call the pings by which gRPC would
// estimate one.
const window = 1 << 20

// workers is the number of goroutines that serve calls. More calls at a time than this get a goroutine each, whose
// stack has to grow first.
const workers = 4

// Config has the settings of a [Proxy]. All fields but Panicked are required.
type Config struct {
	// Containerd is the path of containerd's socket.
	Containerd string
	// Decide decides about one pull before its context ends. It returns the error text for the kubelet if the pull is
	// refused, and "" if it is forwarded. The same pull must have the same text: the kubelet tries its credentials one
	// after the other, and shows SignatureValidationFailed only if all answers are the same (k8s.io/kubernetes v1.36,
	// pkg/kubelet/images, evalCRIPullErr).
	Decide func(context.Context, Pull) (refusal string)
	// Timeout returns how long a pull waits for its decision.
	Timeout func() time.Duration
	// DrainTimeout is how long Serve waits, after its context ends, until no pull is in progress. Then it accepts no
	// further connections.
	DrainTimeout time.Duration
	// Panicked is called for each panic. If the decision about a pull panics, the pull is forwarded.
	Panicked policy.PanicFunc
	Logger   *slog.Logger
}

// Proxy is the CRI ImageService of containerd with a decision before each pull.
type Proxy struct {
	config     Config
	containerd *grpc.ClientConn
	pulls      pulls
	unary      map[string]bool
}

// New returns a proxy. It connects to containerd with the first call, and again whenever the connection was lost.
func New(config Config) (*Proxy, error) {
	// The kubelet waits at most 3 s between two attempts to connect, so the proxy waits less.
	reconnect := backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}
	connection, err := grpc.NewClient("unix:"+config.Containerd,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to containerd at %s: %w", config.Containerd, err)
	}
	return &Proxy{config: config, containerd: connection, unary: unaryMethods()}, nil
}

// Close closes the connection to containerd.
func (p *Proxy) Close() error { return p.containerd.Close() }

// Serve serves the listener until the context ends, and closes it. After the context ends, it serves until no pull is
// in progress or the drain timeout has passed, and then waits for the calls in progress.
func (p *Proxy) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(p.handle),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.WaitForHandlers(true),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.NumStreamWorkers(workers))
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		p.drain()
		server.GracefulStop()
	})
	err := server.Serve(listener)
	if !stop() {
		<-stopped
	}
	if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving the CRI image service on %s: %w", listener.Addr(), err)
	}
	return nil
}

// drain waits until no pull is in progress, or for the drain timeout.
func (p *Proxy) drain() {
	running := p.pulls.count()
	if running == 0 {
		return
	}
	p.config.Logger.Info("waiting for image pulls to end before the CRI image service stops",
		"pulls", running, "timeout", p.config.DrainTimeout)
	timeout := time.NewTimer(p.config.DrainTimeout)
	defer timeout.Stop()
	select {
	case <-p.pulls.none():
	case <-timeout.C:
	}
}

// handle serves one call of any method.
func (p *Proxy) handle(_ any, kubelet grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(kubelet)
	if !ok || !strings.HasPrefix(method, service) {
		return status.Errorf(codes.Unimplemented, "countersign serves the CRI ImageService only, not %s; "+
			"set the kubelet's containerRuntimeEndpoint to containerd's socket", method)
	}
	var result error
	err := policy.Guard("a call of the CRI image service", p.config.Panicked, func() error {
		result = p.serve(method, kubelet)
		return nil
	})
	if err != nil {
		return status.Errorf(codes.Internal, "countersign: %v", err)
	}
	return result
}

// serve decides about a pull, and forwards everything else.
func (p *Proxy) serve(method string, kubelet grpc.ServerStream) error {
	if !p.unary[method] {
		return p.forwardStream(method, kubelet)
	}
	if method == pullImage {
		defer p.pulls.start()()
	}
	request := &frame{}
	if err := kubelet.RecvMsg(request); err != nil {
		return err
	}
	if method == pullImage {
		if err := p.refusal(kubelet.Context(), request); err != nil {
			request.data.Free()
			return err
		}
	}
	return p.forwardUnary(method, kubelet, request)
}
