package domain_test

import (
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/internal/domain"
)

// FuzzOf changes what a tenant chooses freely: case, port, and names below its domain. The group remains the same.
func FuzzOf(f *testing.F) {
	for _, registry := range []string{
		"registry.example", "a.b.registry.example:5000", "localhost:5000", "198.51.100.7:443", "[2001:db8:1::7]:443",
		"[::ffff:198.51.100.7]:443",
	} {
		f.Add(registry)
	}
	whole := regexp.MustCompile("^(?:" + reference.DomainRegexp.String() + ")$")
	f.Fuzz(func(t *testing.T, registry string) {
		group := domain.Of(registry)
		if !whole.MatchString(registry) {
			return
		}
		host := registry
		if name, _, err := net.SplitHostPort(registry); err == nil {
			host = name
		}
		same := []string{strings.ToUpper(registry), net.JoinHostPort(strings.Trim(host, "[]"), "5000")}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil && strings.Contains(host, ".") {
			same = append(same, "below."+registry)
		}
		for _, other := range same {
			if got := domain.Of(other); got != group {
				t.Errorf("%q is in %q, but %q is in %q", registry, group, other, got)
			}
		}
	})
}
