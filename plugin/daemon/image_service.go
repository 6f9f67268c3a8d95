package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/plugin/cri"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy/registry"
)

// imageServiceDrain is how long a stopping daemon serves until no image pull is in progress. It is less than
// TimeoutStopSec in countersign.service.
const imageServiceDrain = 4 * time.Minute

// imageService serves the CRI ImageService to the kubelet.
type imageService struct {
	proxy    *cri.Proxy
	listener net.Listener
}

// newImageService returns nil if no socket for the image service is configured or passed by systemd.
func (d *daemon) newImageService(ctx context.Context) (*imageService, error) {
	listener, err := d.listenForKubelet(ctx)
	if err != nil || listener == nil {
		return nil, err
	}
	proxy, err := cri.New(cri.Config{
		Containerd:   d.config.Containerd.Address,
		Decide:       d.decideForKubelet,
		Timeout:      func() time.Duration { return d.current.config().Pull.Timeout },
		DrainTimeout: imageServiceDrain,
		Panicked:     d.panicked,
		Logger:       d.log,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	d.log.InfoContext(ctx, "serving the CRI image service", "socket", listener.Addr().String())
	return &imageService{proxy: proxy, listener: listener}, nil
}

// listenForKubelet returns the listener that systemd has passed, because it outlives this process: while it exists, the
// kubelet waits for the daemon instead of failing. Without one it listens on the configured socket.
func (d *daemon) listenForKubelet(ctx context.Context) (net.Listener, error) {
	path := d.config.CRIProxy.Socket
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("using the sockets that systemd passed: %w", err)
	}
	switch {
	case len(passed) > 1:
		return nil, fmt.Errorf("systemd passed %d sockets; countersign-cri.socket may have one ListenStream", len(passed))
	case len(passed) == 1 && path != "" && passed[0].Addr().String() != path:
		return nil, fmt.Errorf("countersign-cri.socket listens on %s and cri_proxy.socket is %s; set both to the same path",
			passed[0].Addr(), path)
	case len(passed) == 1:
		return passed[0], nil
	case path == "":
		return nil, nil //nolint:nilnil // The image service is optional.
	default:
		return socket.Listen(ctx, path)
	}
}

// decideForKubelet decides about a pull of the kubelet.
func (d *daemon) decideForKubelet(ctx context.Context, p cri.Pull) (refusal string) {
	request := pull.Request{Reference: p.Reference, Resolve: true, Namespace: p.Namespace, Pod: p.Pod}
	if p.Credentials != (cri.Credentials{}) {
		request.Credentials = registry.CredentialFunc(p.Credentials.For)
	}
	return pull.Refusal(d.gate.Decide(ctx, request))
}

// serveKubelet serves the image service, if there is one, until either context ends or stop is called, and then until
// no pull is in progress. The function stop waits for that, and may be called more than once. The parts that decide
// about pulls must run until then.
func (d *daemon) serveKubelet(ctx, background context.Context, group *errgroup.Group) (stop func(), err error) {
	service, err := d.newImageService(ctx)
	if err != nil || service == nil {
		return func() {}, err
	}
	serving, end := context.WithCancel(ctx)
	context.AfterFunc(background, end)
	ended := make(chan struct{})
	group.Go(func() error {
		defer close(ended)
		defer end()
		defer service.proxy.Close()
		return service.proxy.Serve(serving, service.listener)
	})
	return func() { end(); <-ended }, nil
}
