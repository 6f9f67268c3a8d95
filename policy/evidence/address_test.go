package evidence_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

func TestAConnectionThatEndsOnThisNodeOrItsLinkIsRefused(t *testing.T) {
	const registry = "registry.example:443"
	for name, test := range map[string]struct {
		// at is where the registry was reached, if it was, and to where it sends us.
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
			way := evidence.NewWay("registry.example")
			if test.at != "" {
				if err := way.Reached(registry, &net.TCPAddr{IP: net.ParseIP(test.at), Port: 443}); err != nil {
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

// TestMetadataServicesAreRefusedInEveryForm: where clouds serve a node's credentials, as such and as IPv6 addresses
// that lead there by translation or in a tunnel.
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
			way := evidence.NewWay("registry.example")
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

// TestARegistryOnLoopbackSendsNobodyToMetadataServices in the forms that lead there.
func TestARegistryOnLoopbackSendsNobodyToMetadataServices(t *testing.T) {
	way := evidence.NewWay("registry.example")
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
	way := evidence.NewWay("registry.example")
	way.Permit(parseURL(t, "http://localhost:3128"))
	if err := way.Reached("localhost:3128", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3128}); err != nil {
		t.Errorf("the proxy: %v", err)
	}
	for _, to := range []string{"http://localhost:22", "http://LOCALHOST./", "http://x.localhost", "https://127.1.1.1"} {
		if err := way.MayAsk(parseURL(t, to)); err == nil {
			t.Errorf("%s may be asked", to)
		}
	}
}

// A registry elsewhere, reached through a proxy, sends us to this node.
func TestARedirectFromElsewhereToThisNodeIsRefused(t *testing.T) {
	asked := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(inside.Close)
	hosts := hostsFor(t, "elsewhere.example", `server = "http://elsewhere.example"`)
	for _, path := range []string{"/", "/referrers/"} {
		spoil := onlyFor(path, redirect(inside.URL+"/secret"))
		elsewhere.serve(t, "elsewhere.example", spoil(status(http.StatusNotFound)))
		got := fetched(t, open(t, reaching(evidence.RegistryConfig{HostsDirectory: hosts})),
			parse(t, "elsewhere.example/app"), manifestOf("image"))
		check(t, got, "sent us on to 127.0.0.1, which is this node")
	}
	elsewhere.serve(t, "lookaside.example", redirect(inside.URL+"/secret"))
	r := newRegistry(t)
	got := fetched(t, open(t, lookedBeside(t, "http://lookaside.example")), r.named(t, "app"), manifestOf("image"))
	check(t, got, "sent us on to 127.0.0.1, which is this node")
	if asked {
		t.Error("and yet it was asked")
	}
}

func TestHostsTomlSaysHowARegistryIsReached(t *testing.T) {
	r, mirror := newRegistry(t), newRegistry(t)
	m := manifestOf("image")
	for name, test := range map[string]struct {
		hosts string
		// before prepares the two registries.
		before func()
		want   policy.State
		detail string
	}{
		"the registry is elsewhere": {
			`server = "%[1]s"`, func() { r.sign(t, "app", m, signed(1)) }, policy.Found, "",
		},
		"a mirror has them": {
			`server = "%[1]s"` + "\n" + `[host."%[2]s"]`, func() { mirror.sign(t, "app", m, signed(1)) }, policy.Found, "",
		},
		"a mirror has none, and the registry has them": {
			`server = "%[1]s"` + "\n" + `[host."%[2]s"]`, func() { r.sign(t, "app", m, signed(1)) }, policy.Found, "",
		},
		"a mirror has a fault, and the registry has them": {
			`server = "%[1]s"` + "\n" + `[host."%[2]s"]`,
			func() { mirror.spoilBy(always(500)); r.sign(t, "app", m, signed(1)) }, policy.Found, "",
		},
		"a mirror has a fault, and the registry has none": {
			`server = "%[1]s"` + "\n" + `[host."%[2]s"]`, func() { mirror.spoilBy(always(500)) }, policy.None, "",
		},
		"a mirror has none, and the registry has a fault": {
			`server = "%[1]s"` + "\n" + `[host."%[2]s"]`, func() { r.spoilBy(always(500)) }, policy.Failed, "500 Internal",
		},
		"a mirror wants to be left alone, and the registry has a fault": {
			`server = "%[1]s"` + "\n" + `[host."%[2]s"]`,
			func() { r.spoilBy(always(500)); mirror.spoilBy(always(429)) }, policy.Failed, "429 Too Many",
		},
		"a mirror may not be asked for tags": {
			`server = "%[1]s"` + "\n" + `[host."%[2]s"]` + "\n" + `capabilities = ["pull"]`,
			func() { mirror.sign(t, "app", m, signed(1)) }, policy.None, "",
		},
		"only a mirror may be asked": {
			`server = "%[1]s"` + "\n" + `capabilities = ["push"]` + "\n" + `[host."%[2]s"]`,
			func() { r.sign(t, "app", m, signed(1)) }, policy.None, "",
		},
		"nobody may be asked": {
			`server = "%[1]s"` + "\n" + `capabilities = ["push"]`, func() {}, policy.Failed, "names no host to pull from",
		},
		"a certificate is missing": {
			`server = "%[1]s"` + "\n" + `ca = "/nonexistent/ca.crt"`, func() {}, policy.Failed, "/nonexistent/ca.crt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, mirror = newRegistry(t), newRegistry(t)
			test.before()
			content := fmt.Sprintf(test.hosts+strings.Repeat("%.0[1]s%.0[2]s", 1), r.server.URL, mirror.server.URL)
			keeper := open(t, reaching(evidence.RegistryConfig{HostsDirectory: hostsFor(t, "registry.example", content)}))
			got := fetched(t, keeper, parse(t, "registry.example/app:v1"), m)
			if got.State != test.want || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("%+v, not %v %q", got, test.want, test.detail)
			}
		})
	}
}

func TestAHostThatHangsLeavesTimeForTheNext(t *testing.T) {
	r, mirror := newRegistry(t), newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	mirror.spoilBy(onlyFor("/", hang))
	content := fmt.Sprintf("server = %q\n[host.%q]\n", r.server.URL, mirror.server.URL)
	keeper, err := evidence.OpenWithTimeout(evidence.Config{
		Directory: t.TempDir(), MaxSize: 1 << 20,
		Registries: evidence.NewRegistries(evidence.RegistryConfig{
			HostsDirectory: hostsFor(t, "registry.example", content),
		}),
	}, 3e9)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keeper.Close)
	if got := fetched(t, keeper, parse(t, "registry.example/app:v1"), m); got.State != policy.Found {
		t.Errorf("%+v", got)
	}
}

func TestWhatHasNotChangedIsNotRead(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	keeper, named := open(t, evidence.Config{}), r.named(t, "app")
	first := fetched(t, keeper, named, m)
	r.asked()
	again := fetched(t, keeper, named, m)
	if first != again {
		t.Errorf("first %+v\nagain %+v", first, again)
	}
	list := "/v2/app/manifests/sha256-" + m.Encoded()
	want := []string{"HEAD " + list + ".sig", "GET /v2/app/referrers/" + m.String(), "HEAD " + list}
	if diff := cmp.Diff(want, r.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	r.sign(t, "app", m, signed(1), signed(2))
	if got := fetched(t, keeper, named, m); got.Signatures != 2 || got.Generation == first.Generation {
		t.Errorf("signed again: %+v", got)
	}
	r.unsign(t, "app", m)
	if got := fetched(t, keeper, named, m); got.Signatures != 2 || got.State != policy.Found {
		t.Errorf("removed from the registry: %+v", got)
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := parseTime(t, "Sun, 22 Nov 2026 12:00:00 GMT")
	for header, want := range map[string]string{
		"":                              "0s",
		"0":                             "0s",
		"7":                             "7s",
		"-7":                            "0s",
		"99999999999":                   "1m0s",
		"9223372036854775807":           "1m0s",
		"soon":                          "0s",
		"Sun, 22 Nov 2026 12:00:30 GMT": "30s",
		"Sun, 22 Nov 2026 13:00:00 GMT": "1m0s",
		"Sun, 22 Nov 2020 12:00:30 GMT": "0s",
	} {
		if got := evidence.RetryAfter(header, now).String(); got != want {
			t.Errorf("%q is %s, not %s", header, got, want)
		}
	}
}
