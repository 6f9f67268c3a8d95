package main

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/plugin/internal/socket"
)

// serveSocket answers this node's programs.
func (d *daemon) serveSocket(ctx context.Context, others *errgroup.Group) error {
	listener, err := socket.Listen(ctx, d.config.Listen.Socket)
	if err != nil {
		return err
	}
	others.Go(func() error {
		defer d.pulls.deciding.Wait()
		return socket.Serve(ctx, listener, guarded("a request on the socket", d.accounts.panicked, d.endpoints()))
	})
	return nil
}

// endpoints are what can be asked for.
func (d *daemon) endpoints() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+socket.PullEndpoint, socket.Endpoint(d.pulls.answer))
	mux.Handle("POST "+checkEndpoint, socket.Endpoint(d.checks.answer))
	d.evidence.handle(mux)
	return mux
}
