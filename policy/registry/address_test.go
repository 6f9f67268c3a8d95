package registry_test

import (
	"net"
	"net/url"
	"testing"

	"github.com/countersign/countersign/policy/registry"
)

func TestAConnectionThatEndsOnThisNodeOrItsLinkIsRefused(t *testing.T) {
	const own = "registry.example:443"
	for name, test := range map[string]struct {
		// at is where the registry was reached, if it was, and to the address to which it redirects.
		at, to  string
		refused bool
	}{
		"from outside to outside":                 {"192.0.2.1", "198.51.100.7", false},
		"from outside to a private network":       {"192.0.2.1", "10.0.0.1", false},
		"from outside to loopback":                {"192.0.2.1", "127.0.0.1", true},
		"from outside to another loopback":        {"192.0.2.1", "127.8.8.8", true},
		"from outside to loopback of IPv6":        {"192.0.2.1", "::1", true},
		"from outside to loopback, mapped":        {"192.0.2.1", "::ffff:127.0.0.1", true},
		"from outside to the link":                {"192.0.2.1", "169.254.169.254", true},
		"from outside to the link of IPv6":        {"192.0.2.1", "fe80::1", true},
		"from outside to no address":              {"192.0.2.1", "0.0.0.0", true},
		"from outside to no address of IPv6":      {"192.0.2.1", "::", true},
		"from outside to many":                    {"192.0.2.1", "224.0.0.1", true},
		"before the registry was reached":         {"", "127.0.0.1", true},
		"from loopback to loopback":               {"127.0.0.1", "127.0.0.2", false},
		"from loopback to loopback of IPv6":       {"127.0.0.1", "::1", false},
		"from loopback to the link":               {"127.0.0.1", "169.254.169.254", true},
		"from the link to the same address":       {"169.254.1.1", "169.254.1.1", false},
		"from the link to another of its address": {"169.254.1.1", "169.254.169.254", true},
	} {
		t.Run(name, func(t *testing.T) {
			way := registry.NewWay("registry.example")
			if test.at != "" {
				if err := way.Reached(own, &net.TCPAddr{IP: net.ParseIP(test.at), Port: 443}); err != nil {
					t.Fatalf("the registry itself: %v", err)
				}
			}
			err := way.Reached("elsewhere.example:443", &net.TCPAddr{IP: net.ParseIP(test.to), Port: 443})
			if (err != nil) != test.refused {
				t.Errorf("by a name: %v", err)
			}
			host := net.JoinHostPort(test.to, "8080")
			if err := way.MayAsk(parseURL(t, "http://"+host+"/x")); (err != nil) != test.refused {
				t.Errorf("by an address: %v", err)
			}
		})
	}
}

// TestMetadataServicesAreRefusedInEveryForm: addresses at which clouds serve a node's credentials, and IPv6 addresses
// that reach them by translation or in a tunnel.
func TestMetadataServicesAreRefusedInEveryForm(t *testing.T) {
	for name, test := range map[string]struct {
		to      string
		refused bool
	}{
		"AWS, over IPv6":                  {"fd00:ec2::254", true},
		"AWS, EKS pod identity over IPv6": {"fd00:ec2::23", true},
		"AWS, credentials of ECS":         {"169.254.170.2", true},
		"Google, over IPv6":               {"fd20:ce::254", true},
		"Alibaba":                         {"100.100.100.200", true},
		"Azure's wire server":             {"168.63.129.16", true},
		"Oracle":                          {"192.0.0.192", true},
		"Oracle, over IPv6":               {"fd00:c1::a9fe:a9fe", true},
		"Scaleway, over IPv6":             {"fd00:42::42", true},
		"mapped":                          {"::ffff:100.100.100.200", true},
		"compatible":                      {"::169.254.169.254", true},
		"translated":                      {"::ffff:0:169.254.169.254", true},
		"NAT64":                           {"64:ff9b::169.254.169.254", true},
		"NAT64 of loopback":               {"64:ff9b::127.0.0.1", true},
		"NAT64 of Azure":                  {"64:ff9b::168.63.129.16", true},
		"NAT64 by a prefix of 96 bits of the network": {"64:ff9b:1::169.254.169.254", true},
		"NAT64 by a prefix of 48 bits of the network": {"64:ff9b:1:a9fe:a9:fe00::", true},
		"NAT64 by a prefix of 64 bits of the network": {"64:ff9b:1:0:a9:fea9:fe00:0", true},
		"6to4":                                  {"2002:a9fe:a9fe::1", true},
		"6to4 of loopback":                      {"2002:7f00:1::", true},
		"Teredo, as the client":                 {"2001:0:c000:201:0:0:5601:5601", true},
		"Teredo, as the server":                 {"2001:0:a9fe:a9fe::", true},
		"ISATAP":                                {"2001:db8::5efe:a9fe:a9fe", true},
		"this network":                          {"0.1.2.3", true},
		"the link of IPv6":                      {"fe80::a9fe:a9fe", true},
		"another of the shared addresses":       {"100.100.100.201", false},
		"another of Azure's":                    {"168.63.129.17", false},
		"another of the unique local addresses": {"fd00:ec2::255", false},
		"NAT64 of an address outside":           {"64:ff9b::198.51.100.7", false},
		"NAT64 of a private network":            {"64:ff9b::10.0.0.1", false},
		"NAT64 by a prefix of the network, of an address outside": {"64:ff9b:1:7:8:9:8.8.8.8", false},
		"6to4 of an address outside":                              {"2002:c633:6407::1", false},
		"an address of IPv6 outside":                              {"2001:db8::1", false},
	} {
		t.Run(name, func(t *testing.T) {
			way := registry.NewWay("registry.example")
			if err := way.Reached("registry.example:443", &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 443}); err != nil {
				t.Fatal(err)
			}
			err := way.Reached("elsewhere.example:443", &net.TCPAddr{IP: net.ParseIP(test.to), Port: 443})
			if (err != nil) != test.refused {
				t.Errorf("by a name: %v", err)
			}
			host := net.JoinHostPort(test.to, "80")
			if err := way.MayAsk(parseURL(t, "http://"+host+"/latest")); (err != nil) != test.refused {
				t.Errorf("by an address: %v", err)
			}
		})
	}
}

// TestARegistryOnLoopbackMayNotRedirectToMetadataServices in any of these forms.
func TestARegistryOnLoopbackMayNotRedirectToMetadataServices(t *testing.T) {
	way := registry.NewWay("registry.example")
	if err := way.Reached("registry.example:443", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1", "fd00:ec2::254", "100.100.100.200"} {
		if err := way.Reached("elsewhere.example:80", &net.TCPAddr{IP: net.ParseIP(to), Port: 80}); err == nil {
			t.Errorf("%s may be reached", to)
		}
	}
}

func TestAProxyOnThisNodeDoesNotMeanThatTheRegistryIs(t *testing.T) {
	way := registry.NewWay("registry.example")
	way.Permit(parseURL(t, "http://localhost:3128"))
	if err := way.Reached("localhost:3128", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3128}); err != nil {
		t.Errorf("the proxy: %v", err)
	}
	for _, to := range []string{"http://localhost:22", "http://LOCALHOST./", "http://x.localhost", "https://127.1.1.1"} {
		if err := way.MayAsk(parseURL(t, to)); err == nil {
			t.Errorf("%s is allowed", to)
		}
	}
}

func parseURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
