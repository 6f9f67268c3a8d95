package evidence_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
)

// proxy serves hosts with names that do not exist, so that tests can use registries that are not on this node.
type proxy struct {
	mu    sync.Mutex
	hosts map[string]http.Handler
}

// elsewhere is the proxy of this process. Go reads the variable that names it once, so there is one.
var elsewhere = &proxy{hosts: map[string]http.Handler{}}

// start has this process use the proxy for plain HTTP to anywhere but this node.
func (p *proxy) start() {
	server := httptest.NewServer(p)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "http_proxy"} {
		_ = os.Unsetenv(name)
	}
	_ = os.Setenv("HTTP_PROXY", server.URL)
}

func (p *proxy) serve(t *testing.T, host string, handler http.Handler) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts[host] = handler
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	handler, ok := p.hosts[r.Host]
	p.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	handler.ServeHTTP(w, r)
}
