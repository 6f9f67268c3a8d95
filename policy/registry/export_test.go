package registry

import (
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// What the tests of this package, which are outside it, need to reach within.

// RetryAfter reads a Retry-After header.
func RetryAfter(header string, now time.Time) time.Duration { return retryAfter(header, now) }

// Way is the way to a host of a registry.
type Way struct{ session *Session }

// NewWay returns the way to a host.
func NewWay(host string) Way {
	s := &Session{config: &Config{}, domain: host, backoff: newHostBackoff()}
	s.Begin(docker.RegistryHost{Host: host})
	return Way{session: s}
}

// Reached says that a connection to a name has come to an address.
func (w Way) Reached(name string, address net.Addr) error { return w.session.checkConn(name, address) }

// MayAsk says whether a URL may be asked.
func (w Way) MayAsk(to *url.URL) error { return w.session.checkURL(to) }

// Permit notes a proxy.
func (w Way) Permit(proxy *url.URL) { w.session.allowProxy(proxy) }

// Pauses says which hosts are to be left alone.
type Pauses struct{ hosts *hostBackoff }

// NewPauses returns pauses of no host.
func NewPauses() Pauses { return Pauses{newHostBackoff()} }

// Answered notes an answer of a host.
func (p Pauses) Answered(host string, status int, retryAfter string) error {
	response := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}}
	return p.hosts.answered(hostKey{host, host}, response)
}

// MayAsk returns an error for a host that is to be left alone.
func (p Pauses) MayAsk(host string) error { return p.hosts.check(hostKey{host, host}) }

// Hosts returns how many hosts are remembered.
func (p Pauses) Hosts() int { return len(p.hosts.hosts) }
