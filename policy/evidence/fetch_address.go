package evidence

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// permit notes a proxy. That it is on this node does not mean that the registry is.
func (r *registry) permit(proxy *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proxies[withPort(proxy)] = true
}

// mayAsk returns an error for a URL that names an address where we may not be sent. Names are looked at when they
// have become addresses, by reached; but behind a proxy they never do so here.
func (r *registry) mayAsk(to *url.URL) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own[withPort(to)] {
		return nil
	}
	name := strings.TrimSuffix(strings.ToLower(to.Hostname()), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return r.mayReach(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	address, err := netip.ParseAddr(name)
	if err != nil {
		// A name.
		return nil
	}
	return r.mayReach(address)
}

// reached returns an error when a connection, of which nothing has been used yet, has gone where we may not be sent.
// The check is made on the connection and not on the way to it, since hosts.toml can bring a dialer of its own.
func (r *registry) reached(name string, at net.Addr) error {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("the connection to %s has an address of type %T", name, at)
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proxies[name] {
		return nil
	}
	if r.own[name] {
		r.at[address] = true
		return nil
	}
	return r.mayReach(address)
}

// mayReach returns an error for an address of this node or its link, unless the registry itself is there: a registry
// on this node may send us to its token server on this node. The caller holds mu.
func (r *registry) mayReach(address netip.Addr) error {
	address = address.Unmap().WithZone("")
	if r.at[address] {
		return nil
	}
	for _, target := range targets(address) {
		kind := localKind(target)
		if kind == "" || target.IsLoopback() && r.onLoopback() {
			continue
		}
		return &addressError{address: address.String(), kind: kind}
	}
	return nil
}

// onLoopback reports whether the registry was reached on loopback. The caller holds mu.
func (r *registry) onLoopback() bool {
	for at := range r.at {
		if at.IsLoopback() {
			return true
		}
	}
	return false
}

// answered notes an answer.
func (r *registry) answered(response *http.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = response.StatusCode
	if r.own[withPort(response.Request.URL)] || response.Request.Response != nil {
		// Others whom we were not redirected to are token servers, which speak for the registry.
		r.answeredBy = response.Request.URL.Host
	}
	if strings.Contains(response.Request.URL.Path, "/manifests/") {
		r.manifest = response.StatusCode
	}
}

// withPort returns host:port as a dialer is given it.
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
