package domain_test

import (
	"testing"

	"github.com/countersign/countersign/policy/internal/domain"
)

func TestRegistriesOfOnePartyAreOneGroup(t *testing.T) {
	for name, test := range map[string]struct{ registry, want string }{
		"a domain":                       {"registry.example", "registry.example"},
		"a name below it":                {"a.registry.example", "registry.example"},
		"many labels":                    {"a.b.c.d.registry.example:5000", "registry.example"},
		"a port":                         {"registry.example:5000", "registry.example"},
		"upper case":                     {"A.Registry.EXAMPLE", "registry.example"},
		"a trailing dot":                 {"a.registry.example.", "registry.example"},
		"one label":                      {"localhost:5000", "localhost"},
		"an address":                     {"198.51.100.7:443", "198.51.0.0/16"},
		"an address of the same network": {"198.51.200.1", "198.51.0.0/16"},
		"an IPv6 address":                {"[2001:db8:1::7]:443", "2001:db8::/32"},
		"an IPv6 address without a port": {"[2001:db8:2::7]", "2001:db8::/32"},
		"an IPv4 address as IPv6":        {"[::ffff:198.51.100.7]:443", "198.51.0.0/16"},
		"an address with a zone":         {"[fe80::1%eth0]:443", "fe80::/32"},
		"nothing":                        {"", ""},
		"a dot":                          {".", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := domain.Of(test.registry); got != test.want {
				t.Errorf("%q is in %q, not in %q", test.registry, got, test.want)
			}
		})
	}
}
