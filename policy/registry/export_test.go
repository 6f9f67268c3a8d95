package registry

import (
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// Internals that the external tests of this package use.

// RetryAfter reads a Retry-After header.
func RetryAfter(header string, now time.Time) time.Duration { return retryAfter(header, now) }

// Way is a session with one host of a registry.
type Way struct{ session *Session }

// NewWay returns a session with a host.
func NewWay(host string) Way {
	s := &Session{config: &Config{}, domain: host, backoff: newHostBackoff()}
	s.Begin(docker.RegistryHost{Host: host})
	return Way{session: s}
}

// Reached reports a connection to an address for a name.
func (w Way) Reached(name string, address net.Addr) error { return w.session.checkConn(name, address) }

// MayAsk reports whether a URL is allowed.
func (w Way) MayAsk(to *url.URL) error { return w.session.checkURL(to) }

// Permit records a proxy.
func (w Way) Permit(proxy *url.URL) { w.session.allowProxy(proxy) }

// Pauses contains the paused hosts.
type Pauses struct{ hosts *hostBackoff }

// NewPauses returns an empty one.
func NewPauses() Pauses { return Pauses{newHostBackoff()} }

// Answered records an answer of a host.
func (p Pauses) Answered(host string, status int, retryAfter string) error {
	response := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}}
	return p.hosts.answered(hostKey{host, host}, response)
}

// MayAsk returns an error for a paused host.
func (p Pauses) MayAsk(host string) error { return p.hosts.check(hostKey{host, host}) }

// Hosts returns how many hosts are stored.
func (p Pauses) Hosts() int { return len(p.hosts.hosts) }
