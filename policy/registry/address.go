package registry

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// allowProxy records a proxy. A proxy on this node does not mean that the registry is on this node.
func (s *Session) allowProxy(proxy *url.URL) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxies[withPort(proxy)] = true
}

// checkURL returns an error for a URL with an address to which no registry may redirect the node. Names are checked by
// checkConn after they were resolved; behind a proxy they are not.
func (s *Session) checkURL(to *url.URL) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own[withPort(to)] {
		return nil
	}
	name := strings.TrimSuffix(strings.ToLower(to.Hostname()), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return s.checkAddress(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	address, err := netip.ParseAddr(name)
	if err != nil {
		// A name.
		return nil
	}
	return s.checkAddress(address)
}

// checkConn returns an error for a new connection to an address to which no registry may redirect the node. The check
// uses the connection itself, not the dialer, because hosts.toml can replace the dialer.
func (s *Session) checkConn(name string, at net.Addr) error {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("the connection to %s has an address of type %T", name, at)
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proxies[name] {
		return nil
	}
	if s.own[name] {
		s.at[address] = true
		return nil
	}
	return s.checkAddress(address)
}

// checkAddress returns an error for an address of this node or its link, unless the registry itself is there: a
// registry on this node may redirect to its token server on this node. The caller holds mu.
func (s *Session) checkAddress(address netip.Addr) error {
	address = address.Unmap().WithZone("")
	if s.at[address] {
		return nil
	}
	for _, target := range targets(address) {
		kind := localKind(target)
		if kind == "" || target.IsLoopback() && s.onLoopback() {
			continue
		}
		return &addressError{address: address.String(), kind: kind}
	}
	return nil
}

// onLoopback reports whether the registry was reached on loopback. The caller holds mu.
func (s *Session) onLoopback() bool {
	for at := range s.at {
		if at.IsLoopback() {
			return true
		}
	}
	return false
}

// answered records an answer.
func (s *Session) answered(response *http.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = response.StatusCode
	if s.own[withPort(response.Request.URL)] || response.Request.Response != nil {
		// Other hosts, if there was no redirect, are token servers, which belong to the registry.
		s.answeredBy = response.Request.URL.Host
	}
	if strings.Contains(response.Request.URL.Path, "/manifests/") {
		s.manifest = response.StatusCode
	}
}

// withPort returns host:port as dialers get it.
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}
