package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// restrict is called by containerd for each client that it makes for a registry.
func (s *Session) restrict(client *http.Client) error {
	if _, ok := client.Transport.(*restrictedTransport); ok {
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
		if err := s.checkConn(address, conn.RemoteAddr()); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transports = append(s.transports, transport)
	client.Transport = &restrictedTransport{session: s, transport: transport}
	return nil
}

// restrictedTransport is a transport that bounds what a registry can have us do.
type restrictedTransport struct {
	session   *Session
	transport *http.Transport
}

// RoundTrip refuses to go where a registry may not send us, bounds what is read of any answer, and fails for a registry
// that asks for a pause: containerd's resolver would ask it again at once.
func (t *restrictedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.roundTrip(request)
	t.session.report(request, response, err)
	return response, err
}

func (t *restrictedTransport) roundTrip(request *http.Request) (*http.Response, error) {
	if t.transport.Proxy != nil {
		if proxy, err := t.transport.Proxy(request); err == nil && proxy != nil {
			t.session.allowProxy(proxy)
		}
	}
	if err := t.session.checkURL(request.URL); err != nil {
		return nil, err
	}
	// A registry can send us to another's host, or name it as its token server, and a mirror serves many: what a host
	// answers then must not have others leave it alone.
	name := hostKey{t.session.domain, request.URL.Host}
	if err := t.session.backoff.check(name); err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	t.session.stripHeaders(request)
	// Signatures are small: nothing is gained by compression, and what expands can be a trap.
	request.Header.Set("Accept-Encoding", "identity")
	response, err := t.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	t.session.answered(response)
	err = t.session.backoff.answered(name, response)
	if err == nil {
		err = acceptable(response)
	}
	if err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	response.Body = &boundedBody{body: response.Body, left: maxAnswer}
	return response, nil
}

// stripHeaders takes the headers that hosts.toml has for one host, which may be secrets, from a request that this host
// redirects to another. Go's client does so with Authorization, and only with that.
func (s *Session) stripHeaders(request *http.Request) {
	if request.Response == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own[withPort(request.URL)] {
		return
	}
	for name := range s.headers {
		if name != "Authorization" {
			request.Header.Del(name)
		}
	}
}

// maxAnswer bounds the body of any answer, in bytes: manifests are the largest.
const maxAnswer = MaxManifest

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

// boundedBody is a body that fails when more than left bytes are read.
type boundedBody struct {
	body io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
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

func (b *boundedBody) Close() error { return b.body.Close() }
