package daemon

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/plugin/internal/socket"
)

// serveSocket serves the daemon's socket to other programs of this node.
func (d *daemon) serveSocket(ctx context.Context, group *errgroup.Group) error {
	listener, err := socket.Listen(ctx, d.config.Listen.Socket)
	if err != nil {
		return err
	}
	group.Go(func() error {
		defer d.gate.Wait()
		return socket.Serve(ctx, listener, guarded("a request on the socket", d.panicked, d.endpoints()))
	})
	return nil
}

// endpoints returns the handler of all endpoints of the socket.
func (d *daemon) endpoints() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+socket.PullEndpoint, socket.Endpoint(d.verifierEndpoint().Answer))
	mux.Handle("POST "+checkEndpoint, socket.Endpoint(d.checks.answer))
	mux.Handle("POST "+explainEndpoint, socket.Endpoint(d.explainer.answer))
	mux.Handle("POST "+statusEndpoint, socket.Endpoint(d.status))
	mux.Handle("POST "+socket.PreviewEndpoint, socket.LargeEndpoint(socket.MaxPreview, d.preview.answer))
	mux.Handle("POST "+socket.DecisionsEndpoint, socket.Endpoint(d.recorder.denials.answer))
	d.evidence.handle(mux)
	return mux
}
