package evidence_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

// A registry elsewhere, reached through a proxy, redirects to this node.
func TestARedirectFromElsewhereToThisNodeIsRefused(t *testing.T) {
	asked := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(inside.Close)
	hosts := hostsFor(t, "elsewhere.example", `server = "http://elsewhere.example"`)
	for _, path := range []string{"/", "/referrers/"} {
		spoil := onlyFor(path, redirect(inside.URL+"/secret"))
		elsewhere.serve(t, "elsewhere.example", spoil(status(http.StatusNotFound)))
		got := fetched(t, open(t, reaching(registry.Config{HostsDirectory: hosts})),
			parse(t, "elsewhere.example/app"), manifestOf("image"))
		check(t, got, "redirects to 127.0.0.1, which is this node")
	}
	elsewhere.serve(t, "lookaside.example", redirect(inside.URL+"/secret"))
	r := newRegistry(t)
	got := fetched(t, open(t, lookedBeside(t, "http://lookaside.example")), r.named(t, "app"), manifestOf("image"))
	check(t, got, "redirects to 127.0.0.1, which is this node")
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
		"a mirror requests a pause, and the registry has a fault": {
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
		"no host may be asked": {
			`server = "%[1]s"` + "\n" + `capabilities = ["push"]`, func() {}, policy.Failed, "hosts.toml has no host",
		},
		"a certificate is missing": {
			`server = "%[1]s"` + "\n" + `ca = "/nonexistent/ca.crt"`, func() {}, policy.Failed, "/nonexistent/ca.crt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, mirror = newRegistry(t), newRegistry(t)
			test.before()
			content := fmt.Sprintf(test.hosts+strings.Repeat("%.0[1]s%.0[2]s", 1), r.server.URL, mirror.server.URL)
			keeper := open(t, reaching(registry.Config{HostsDirectory: hostsFor(t, "registry.example", content)}))
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
	keeper := open(t, reaching(registry.Config{
		HostsDirectory: hostsFor(t, "registry.example", content), Timeout: 3 * time.Second,
	}))
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
