package evidence_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/registry"
)

func always(status int) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
}

// onlyFor spoils the requests whose path contains a text.
func onlyFor(part string, spoiled http.HandlerFunc) func(http.Handler) http.Handler {
	return func(sound http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, part) {
				spoiled(w, r)
				return
			}
			sound.ServeHTTP(w, r)
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// slow serves a byte at a time, with pauses; all of it takes longer than any fetch here.
func slow(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	for range 1000 {
		_, _ = w.Write([]byte("x"))
		w.(http.Flusher).Flush() //nolint:forcetypeassert // The server's has it.
		select {
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// announce sends a Content-Length that is not the length of the body.
func announce(length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(length))
		w.Header().Set("Docker-Content-Digest", digest.FromString("x").String())
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	}
}

func serve(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = w.Write([]byte(body))
	}
}

func TestAFaultyRegistryIsAFailureThatNamesItsCauseAndTheNextTryRecovers(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(http.Handler) http.Handler
		want  string
	}{
		"wants credentials":              {always(http.StatusUnauthorized), "401 Unauthorized; no file with credentials"},
		"forbids":                        {always(http.StatusForbidden), "403 Forbidden; no file with credentials"},
		"has a fault":                    {always(http.StatusInternalServerError), "500 Internal Server Error"},
		"is behind a broken gateway":     {always(http.StatusBadGateway), "502 Bad Gateway"},
		"wants to be left alone":         {always(http.StatusTooManyRequests), "429 Too Many Requests"},
		"hangs":                          {onlyFor("/manifests/", hang), "no answer within the time"},
		"hangs at a blob":                {onlyFor("/blobs/", hang), "no answer within the time"},
		"is slow at a blob":              {onlyFor("/blobs/", slow), "no answer within the time"},
		"resets":                         {onlyFor("/v2/", reset), "closed before the end"},
		"resets at a blob":               {onlyFor("/blobs/", reset), "closed before the end"},
		"forbids a blob":                 {onlyFor("/blobs/", status(http.StatusForbidden)), "403 Forbidden"},
		"fails at a blob":                {onlyFor("/blobs/", status(http.StatusInternalServerError)), "500 Internal"},
		"has lost every blob":            {onlyFor("/blobs/", status(http.StatusNotFound)), "does not have sha256:"},
		"serves another blob":            {onlyFor("/blobs/", serveAs(len(signed(1).payload))), "has another digest"},
		"serves a longer blob":           {onlyFor("/blobs/", serveAs(500)), "than the"},
		"serves a shorter blob":          {onlyFor("/blobs/", serveAs(3)), "were announced"},
		"serves another manifest":        {onlyFor("/manifests/sha256:", serve(`{"schemaVersion":2}`)), "announced"},
		"serves no JSON":                 {onlyFor("/manifests/", serve("<html>sign in</html>")), "is not JSON"},
		"serves an old kind of manifest": {onlyFor("/manifests/", serve(`{"schemaVersion":1}`)), "not an image manifest"},
		"announces a manifest of 2 GiB":  {onlyFor("/manifests/", announce(2<<30)), "the maximum is 4194304"},
		"announces a manifest of 5 MiB":  {onlyFor("/manifests/", announce(5<<20)), "the maximum is 4194304"},
		"sends us in a circle":           {circle, "stopped after 10 redirects"},
		"redirects to the link": {
			onlyFor("/blobs/", redirect("http://169.254.169.254/latest/meta-data")), "redirects to 169.254.169.254",
		},
		"redirects to the link, in IPv6 clothes": {
			onlyFor("/v2/", redirect("http://[::ffff:169.254.169.254]/x")), "redirects to 169.254.169.254",
		},
		"redirects to no address": {onlyFor("/v2/", redirect("http://0.0.0.0:1/x")), "redirects to 0.0.0.0"},
		"asks for a token at the link": {
			onlyFor("/v2/", challenge(`Bearer realm="http://169.254.169.254/token",service="x"`)), "redirects to 169.254",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t)
			m := manifestOf("image")
			r.sign(t, "app", m, signed(1))
			r.spoilBy(test.spoil)
			named, config := r.named(t, "app"), evidence.Config{Directory: t.TempDir()}
			if strings.Contains(test.want, "within the time") {
				keeper := hasty(t, config.Directory, "", registry.Config{})
				check(t, fetched(t, keeper, named, m), test.want)
				keeper.Close()
			}
			keeper := open(t, config)
			if !strings.Contains(test.want, "within the time") {
				check(t, fetched(t, keeper, named, m), test.want)
			}
			r.spoilBy(nil)
			if name == "wants to be left alone" {
				return
			}
			if got := fetched(t, keeper, named, m); got.State != policy.Found || got.Signatures != 1 {
				t.Errorf("the next try: %+v", got)
			}
		})
	}
}

// hasty opens a Keeper with a short timeout of fetches, for tests of servers that do not answer. Others have at least a
// third of the time, which has to suffice on a busy machine too: the tests run in parallel instead of with less. An
// empty directory is a new one.
func hasty(t *testing.T, directory, registriesD string, registries registry.Config) *evidence.Keeper {
	t.Helper()
	registries.Timeout = 2 * time.Second
	return open(t, evidence.Config{
		Directory: directory, MaxSize: 1 << 20,
		Fetcher: fetch.New(fetch.Config{
			Registries: registry.New(registries), Lookaside: registriesD,
		}),
	})
}

// check returns when evidence is a failure that says what it should, in one line.
func check(t *testing.T, got policy.Evidence, want string) {
	t.Helper()
	if got.State != policy.Failed || !strings.Contains(got.Detail, want) {
		t.Errorf("%+v\nlacks %q", got, want)
	}
	if strings.ContainsAny(got.Detail, "\n") || len(got.Detail) > 500 {
		t.Errorf("not one line: %q", got.Detail)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func serveAs(length int) http.HandlerFunc { return serve(strings.Repeat("x", length)) }

func circle(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { redirect(r.URL.Path)(w, r) })
}

func challenge(header string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", header)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func TestARegistryThatIsNotThereIsAFailure(t *testing.T) {
	r := newRegistry(t)
	r.server.Close()
	got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), manifestOf("image"))
	if got.State != policy.Failed || !strings.Contains(got.Detail, "connection refused") {
		t.Errorf("%+v", got)
	}
}
