package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// registry is the way to the hosts of one registry during one look, and what was met on it.
type registry struct {
	// requested is told of each request; or nil.
	requested func(registry string, result Result)
	// note is what is wrong with its hosts.toml, for errors to say.
	note        string
	credentials *credentials
	pauses      *pauses
	// domain is what the registry is called in references.
	domain string

	mu sync.Mutex
	// transports are those in use; the hosts of a registry may share one.
	transports []*http.Transport
	// own are the names, host:port, of the host that is asked, at the addresses where it was reached, and proxies the
	// names of proxies on the way to it.
	own, proxies map[string]bool
	at           map[netip.Addr]bool
	// headers are those that hosts.toml has for the host that is asked.
	headers http.Header
	// status is the last answer's, and manifest that of the last answer about a manifest.
	status, manifest int
	// answeredBy is the host that gave the last answer.
	answeredBy string
}

func newRegistry(domain string, credentials *credentials, pauses *pauses) *registry {
	return &registry{domain: domain, credentials: credentials, pauses: pauses}
}

// begin forgets what was met at another host: what holds for a mirror need not hold for the registry.
func (r *registry) begin(host docker.RegistryHost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.transports {
		t.CloseIdleConnections()
	}
	r.own, r.proxies, r.at = map[string]bool{}, map[string]bool{}, map[netip.Addr]bool{}
	r.status, r.manifest, r.answeredBy, r.headers = 0, 0, "", host.Header
	// With TLS on localhost containerd falls back to plain HTTP, which is another port where none is given.
	r.own[withPort(&url.URL{Scheme: "https", Host: host.Host})] = true
	r.own[withPort(&url.URL{Scheme: "http", Host: host.Host})] = true
}

func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.transports {
		t.CloseIdleConnections()
	}
}

// saidNotFound reports whether the last answer about a manifest was that there is none.
func (r *registry) saidNotFound() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifest == http.StatusNotFound
}

// guard is called by containerd for each client that it makes for a registry.
func (r *registry) guard(client *http.Client) error {
	if _, ok := client.Transport.(*guarded); ok {
		return nil
	}
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		return fmt.Errorf("containerd's client for registries has a transport of type %T", client.Transport)
	}
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := r.reached(address, conn.RemoteAddr()); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transports = append(r.transports, transport)
	client.Transport = &guarded{registry: r, transport: transport}
	return nil
}

// guarded is a client's transport that bounds what a registry can have us do.
type guarded struct {
	registry  *registry
	transport *http.Transport
}

// RoundTrip refuses to go where a registry may not send us, bounds what is read of any answer, and tells of a
// registry that wants to be left alone: containerd's resolver would ask it again at once.
func (g *guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := g.roundTrip(request)
	g.registry.tell(request, response, err)
	return response, err
}

func (g *guarded) roundTrip(request *http.Request) (*http.Response, error) {
	if g.transport.Proxy != nil {
		if proxy, err := g.transport.Proxy(request); err == nil && proxy != nil {
			g.registry.permit(proxy)
		}
	}
	if err := g.registry.mayAsk(request.URL); err != nil {
		return nil, err
	}
	// A registry can send us to another's host, or name it as its token server, and a mirror serves many: what a host
	// answers then is no reason to leave it alone for the sake of others.
	place := g.registry.domain + " " + request.URL.Host
	if err := g.registry.pauses.mayAsk(place); err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	g.registry.withhold(request)
	// Signatures are small: nothing is gained by compression, and what expands can be a trap.
	request.Header.Set("Accept-Encoding", "identity")
	response, err := g.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	g.registry.answered(response)
	err = g.registry.pauses.answered(place, response)
	if err == nil {
		err = acceptable(response)
	}
	if err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	response.Body = &bounded{body: response.Body, left: maxAnswer}
	return response, nil
}

// withhold takes the headers that hosts.toml has for one host, which may be secrets, from a request that this host
// redirects to another. Go's client does so with Authorization, and only with that.
func (r *registry) withhold(request *http.Request) {
	if request.Response == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own[withPort(request.URL)] {
		return
	}
	for name := range r.headers {
		if name != "Authorization" {
			request.Header.Del(name)
		}
	}
}

// maxAnswer bounds the body of any answer, in bytes: manifests are the largest.
const maxAnswer = maxManifest

// acceptable returns an error for an answer that is not to be read.
func acceptable(response *http.Response) error {
	if response.ContentLength > maxAnswer {
		return fmt.Errorf("its answer has %d bytes, more than the %d that are read", response.ContentLength, maxAnswer)
	}
	if encoding := response.Header.Get("Content-Encoding"); strings.Contains(encoding, "zstd") {
		return errors.New("its answer is compressed, though that was not asked for")
	}
	return nil
}

// bounded is a body of which only so much can be read.
type bounded struct {
	body io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// What is read to its end exactly at the bound is not too long.
		if n, err := b.body.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("its answer has more than the %d bytes that are read", maxAnswer)
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }
