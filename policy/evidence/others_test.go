package evidence_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// TestAPauseAffectsItsRegistryOnly: otherwise a tenant who pulls from a registry of his own could redirect the node to
// another's until that rejects requests, and containers of others would find no signatures.
func TestAPauseAffectsItsRegistryOnly(t *testing.T) {
	hosts := hostsFor(t, "victim.example", `server = "http://victim.example"`)
	write(t, filepath.Join(hosts, "hostile.example", "hosts.toml"), `server = "http://hostile.example"`)
	sound, image := newRegistry(t), manifestOf("image")
	elsewhere.serve(t, "victim.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/limited") {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		sound.server.Config.Handler.ServeHTTP(w, r)
	}))
	sound.sign(t, "app", image, signed(1))
	for name, hostile := range map[string]http.HandlerFunc{
		"by a redirect":     redirect("http://victim.example/limited"),
		"as a token server": challenge(`Bearer realm="http://victim.example/limited",service="x"`),
	} {
		t.Run(name, func(t *testing.T) {
			elsewhere.serve(t, "hostile.example", hostile)
			keeper := open(t, reaching(registry.Config{HostsDirectory: hosts}))
			if got := fetched(t, keeper, parse(t, "hostile.example/app"), image); got.State != policy.Failed {
				t.Errorf("of the hostile one: %+v", got)
			}
			if got := fetched(t, keeper, parse(t, "victim.example/app"), image); got.Signatures != 1 {
				t.Errorf("of the other: %+v", got)
			}
		})
	}
}

// TestHeadersOfOneHostDoNotGoToAnother: what hosts.toml has for a host may be a secret.
func TestHeadersOfOneHostDoNotGoToAnother(t *testing.T) {
	hosts := hostsFor(t, "own.example",
		"server = 'http://own.example'\n[host.'http://own.example'.header]\nX-Team = 'blue'\n")
	asked, told := 0, 0
	elsewhere.serve(t, "blobs.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("X-Team") != "" {
			told++
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	for _, part := range []string{"/manifests/", "/referrers/"} {
		sends := onlyFor(part, redirect("http://blobs.example/x"))
		elsewhere.serve(t, "own.example", wanting(sends(status(http.StatusNotFound))))
		keeper := open(t, reaching(registry.Config{HostsDirectory: hosts}))
		fetched(t, keeper, parse(t, "own.example/app"), manifestOf("image"))
	}
	if asked < 2 || told > 0 {
		t.Errorf("another host was asked %d times, and received the first one's credentials %d times", asked, told)
	}
}
