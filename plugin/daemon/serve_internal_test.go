package daemon

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/plugin/internal/socket"
)

// serveTest serves an endpoint at a socket until the test ends, and returns a client.
func serveTest(t *testing.T, endpoint string, handler http.Handler) *socket.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := socket.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+endpoint, handler)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- socket.Serve(ctx, listener, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return socket.NewClient(path)
}
