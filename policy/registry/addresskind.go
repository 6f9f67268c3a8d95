package registry

import (
	"fmt"
	"net/netip"
)

// addressError reports a redirect to a forbidden address.
type addressError struct{ address, kind string }

func (e *addressError) Error() string {
	return fmt.Sprintf("it redirects to %s, which is %s; no registry may redirect there", e.address, e.kind)
}

const (
	kindNode     = "this node itself"
	kindLink     = "this node's link"
	kindMetadata = "a metadata service of the node's cloud"
)

// localKind returns what a forbidden address is, or "" for an allowed one. Forbidden are loopback, unspecified,
// link-local and multicast addresses, all of 0.0.0.0/8 ("this network"), and other addresses at which clouds serve a
// node's credentials or configuration. [targets] finds the addresses to which IPv6 addresses translate or tunnel.
//
// Private networks (RFC 1918, fc00::/7, 100.64.0.0/10) are allowed by design, except the single addresses below:
// registries, their token servers and their object stores are often there. A redirect gains a registry only a GET whose
// answer it does not see.
func localKind(address netip.Addr) string {
	switch {
	case address.IsLoopback():
		return kindNode
	case metadataService(address):
		return kindMetadata
	case address.IsUnspecified(), thisNetwork().Contains(address):
		return kindNode
	case address.IsLinkLocalUnicast(), address.IsMulticast():
		return kindLink
	default:
		return ""
	}
}

func thisNetwork() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 8) }

// metadataService reports whether a cloud serves its nodes at an address. Addresses in 169.254.0.0/16 and fe80::/10,
// where most are (169.254.169.254; 169.254.170.2 and .23 of AWS, 169.254.0.23 of Tencent), are link-local as well.
func metadataService(address netip.Addr) bool {
	switch address.String() {
	case "169.254.169.254", // AWS, Google, Azure, Oracle, OpenStack and others
		"fd00:ec2::254", "fd00:ec2::23", // AWS: instances, and pods by EKS Pod Identity
		"fd20:ce::254",       // Google
		"fd00:c1::a9fe:a9fe", // Oracle
		"fd00:42::42",        // Scaleway
		"100.100.100.200",    // Alibaba
		"168.63.129.16",      // Azure's wire server
		"192.0.0.192":        // Oracle's first platform
		return true
	default:
		return false
	}
}

// targets returns an address and those that it reaches by translation or in a tunnel, whether or not this node's
// network has such a translation.
func targets(address netip.Addr) []netip.Addr {
	address = address.Unmap().WithZone("")
	all := []netip.Addr{address}
	if address.Is4() {
		return all
	}
	raw := address.As16()
	embedded := func(at int) netip.Addr { return netip.AddrFrom4([4]byte(raw[at : at+4])) }
	within := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(address) }
	switch {
	case within("::/96") && !address.IsLoopback() && !address.IsUnspecified():
		// IPv4-compatible (RFC 4291, section 2.5.5.1).
		all = append(all, embedded(12))
	case within("::ffff:0:0:0/96"):
		// IPv4-translated (RFC 2765).
		all = append(all, embedded(12))
	case within("64:ff9b::/96"):
		// NAT64 (RFC 6052).
		all = append(all, embedded(12))
	case within("64:ff9b:1::/48"):
		// NAT64 with a prefix of the network (RFC 8215).
		all = append(all, translated(raw))
	case within("2002::/16"):
		// 6to4 (RFC 3056).
		all = append(all, embedded(2))
	case within("2001::/32"):
		// Teredo (RFC 4380): the server, and the client with all bits inverted.
		all = append(all, embedded(4),
			netip.AddrFrom4([4]byte{^raw[12], ^raw[13], ^raw[14], ^raw[15]}))
	case raw[8]&^2 == 0 && raw[9] == 0 && raw[10] == 0x5e && raw[11] == 0xfe:
		// ISATAP (RFC 5214).
		all = append(all, embedded(12))
	}
	return all
}

// translated returns the IPv4 address in an address that a network translates with its own prefix within 64:ff9b:1::/48
// of 96, 64, 56 or 48 bits: octet 8 is unused, and the rest after the address is zero (RFC 6052, section 2.2). Without
// these checks, public addresses would be taken for forbidden ones.
func translated(raw [16]byte) netip.Addr {
	end := len(raw)
	for end > 0 && raw[end-1] == 0 {
		end--
	}
	switch {
	case end > 13:
		return netip.AddrFrom4([4]byte(raw[12:16]))
	case end > 12:
		return netip.AddrFrom4([4]byte(raw[9:13]))
	case end > 11:
		return netip.AddrFrom4([4]byte{raw[7], raw[9], raw[10], raw[11]})
	default:
		return netip.AddrFrom4([4]byte{raw[6], raw[7], raw[9], raw[10]})
	}
}
