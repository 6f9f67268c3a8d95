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

// restrict is called by containerd for each client that it creates for a registry.
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

// restrictedTransport limits what a registry can make the node do.
type restrictedTransport struct {
	session   *Session
	transport *http.Transport
}

// RoundTrip refuses forbidden addresses, limits what is read of an answer, and returns an error if a registry requests
// a pause: containerd's resolver would repeat the request immediately.
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
	// A registry can redirect to another's host, or name it as its token server, and a mirror serves many registries: the
	// answers of a host must not pause it for other registries.
	name := hostKey{t.session.domain, request.URL.Host}
	if err := t.session.backoff.check(name); err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	t.session.stripHeaders(request)
	// Signatures are small, so compression gains nothing, and compressed content can expand without limit.
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

// stripHeaders removes the headers that hosts.toml has for one host, which may be secrets, from a request that this
// host redirects to another. Go's client removes only Authorization.
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

// maxAnswer limits the body of any answer, in bytes: manifests are the largest.
const maxAnswer = MaxManifest

// acceptable returns an error for an answer that must not be read.
func acceptable(response *http.Response) error {
	if response.ContentLength > maxAnswer {
		return fmt.Errorf("its answer has %d bytes; the maximum is %d", response.ContentLength, maxAnswer)
	}
	if encoding := response.Header.Get("Content-Encoding"); strings.Contains(encoding, "zstd") {
		return errors.New("its answer is compressed, although the request does not accept that")
	}
	return nil
}

// boundedBody is a body whose reading fails after a number of bytes.
type boundedBody struct {
	body io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// A body that ends exactly at the limit is not too long.
		if n, err := b.body.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("its answer is larger than %d bytes", maxAnswer)
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *boundedBody) Close() error { return b.body.Close() }
