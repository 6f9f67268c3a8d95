package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics in Prometheus's formats, /healthz and /readyz. /healthz answers 200 while the plugin is
// registered with NRI, /readyz while every check is answered with yes (but see [Metrics.Optional]); otherwise they
// answer 503. Both have the same body: a line of text for each check, or JSON if the client requests it (Accept:
// application/json, or ?format=json).
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", m.answer(func(report Report) bool { return report.Healthy }))
	mux.HandleFunc("GET /readyz", m.answer(func(report Report) bool { return report.Ready }))
	return mux
}

func (m *Metrics) answer(ok func(Report) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		report := m.Health()
		contentType, body := "text/plain; charset=utf-8", []byte(report.String())
		if r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
			contentType = "application/json"
			body, _ = json.Marshal(report) // Strings, times and booleans can always be encoded.
			body = append(body, '\n')
		}
		w.Header().Set("Content-Type", contentType)
		if !ok(report) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// An error here means that the client has disconnected.
		_, _ = w.Write(body)
	}
}

// Listen listens on a TCP address of the loopback interface. It refuses any other address, because metrics reveal which
// nodes do not enforce.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("resolving the metrics address %q: %w", address, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("listening for metrics on %q: not a loopback address", address)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", resolved.String())
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w; is another countersign daemon running? Otherwise set another port (listen.metrics)", err)
		}
		return nil, fmt.Errorf("listening for metrics on %q: %w", address, err)
	}
	return listener, nil
}

// Serve answers requests until the context ends, then waits up to five seconds for those in progress. It closes the
// listener, and returns nil on success.
func (m *Metrics) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           m.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("serving metrics: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-stopped; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("shutting down the metrics server: %w", err)
	}
	return nil
}
