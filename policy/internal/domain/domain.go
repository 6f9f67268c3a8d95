package domain

import (
	"net"
	"net/netip"
	"strings"
)

// Prefixes of networks that one party usually controls: a provider assigns shorter ones to few customers.
const (
	bits4 = 16
	bits6 = 32
)

// Of returns the group of a registry, which is named as in image references: a host with an optional port. It is the
// last two labels of the host's name, because whoever controls a domain creates names below it for free; or the network
// of an address. The port does not matter.
//
// This is no public suffix list: registries below co.uk are one group. Groups take turns, and more of them in one group
// than there should be only makes those wait for each other.
func Of(registry string) string {
	host := registry
	if name, _, err := net.SplitHostPort(registry); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if address, err := netip.ParseAddr(host); err == nil {
		return network(address.Unmap().WithZone(""))
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := strings.LastIndexByte(host, '.')
	if last < 0 {
		return host
	}
	return host[strings.LastIndexByte(host[:last], '.')+1:]
}

func network(address netip.Addr) string {
	bits := bits6
	if address.Is4() {
		bits = bits4
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return address.String() // Both lengths are valid.
	}
	return prefix.String()
}
