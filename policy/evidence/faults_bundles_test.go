package evidence_test

import (
	"net/http"
	"strings"
	"testing"

	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

// places are where the way to a bundle leads along: by a part of the paths of the requests.
func places(image, manifest, blob digest.Digest) map[string]struct {
	path string
	api  bool
} {
	return map[string]struct {
		path string
		api  bool
	}{
		"the referrers API":     {"/referrers/", true},
		"the fallback tag":      {"/manifests/sha256-" + image.Encoded(), false},
		"a bundle's manifest":   {"/manifests/" + manifest.String(), true},
		"the bundle":            {"/blobs/" + blob.String(), true},
		"the bundle of the tag": {"/blobs/" + blob.String(), false},
	}
}

// endsWith injects a fault into requests whose path ends with a text, or with the text and a digest.
func endsWith(end string, spoiled http.HandlerFunc) func(http.Handler) http.Handler {
	return func(sound http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, end) || strings.HasSuffix(end, "/") && strings.Contains(r.URL.Path, end) {
				spoiled(w, r)
				return
			}
			sound.ServeHTTP(w, r)
		})
	}
}

func TestAFaultOnTheWayToABundleIsAFailureAndTakesNothingAway(t *testing.T) {
	image := manifestOf("image")
	for fault, test := range map[string]struct {
		spoiled http.HandlerFunc
		want    string
	}{
		"wants credentials": {status(http.StatusUnauthorized), "401 Unauthorized; no file with credentials"},
		"forbids":           {status(http.StatusForbidden), "403 Forbidden; no file with credentials"},
		"has a fault":       {status(http.StatusInternalServerError), "500 Internal Server Error"},
		"has a broken gate": {status(http.StatusBadGateway), "502 Bad Gateway"},
		"wants to be left":  {status(http.StatusTooManyRequests), "429 Too Many Requests"},
		"hangs":             {hang, "no answer"},
		"is slow": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("Content-Length", "1000")
				return
			}
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			slow(w, r)
		}, "no answer"},
		"resets":              {reset, "closed before the end"},
		"serves another":      {serveIndex(`{"schemaVersion":1}`), ""},
		"serves no JSON":      {serveIndex("sign in"), ""},
		"announces 2 GiB":     {announce(2 << 30), "the maximum is 4194304"},
		"sends us in circles": {func(w http.ResponseWriter, r *http.Request) { redirect(r.URL.Path)(w, r) }, "10 redirects"},
		"redirects to a link": {redirect("http://169.254.169.254/x"), "redirects to 169.254.169.254"},
	} {
		t.Run(fault, func(t *testing.T) {
			sound := pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(true)), t: t, api: true}
			attached := sound.attach(image, referrer{content: statement(signs, 1), predicate: signs})
			for place, at := range places(image, attached.Digest, digest.FromBytes(statement(signs, 1))) {
				t.Run(place, func(t *testing.T) {
					t.Parallel()
					failAt(t, at.api, endsWith(at.path, test.spoiled), test.want)
				})
			}
		})
	}
}

// failAt makes a registry fail at one request and recover, without and with a signature in the old format next to the
// bundle.
func failAt(t *testing.T, api bool, spoil func(http.Handler) http.Handler, want string) {
	t.Helper()
	image := manifestOf("image")
	p := pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(api)), t: t, api: api}
	p.list(image, p.attach(image, referrer{content: statement(signs, 1), predicate: signs}))
	named := p.named(t, "app")
	patient := want != "" && !strings.Contains(want, "no answer")
	begin := func(config evidence.Config) *evidence.Keeper {
		if patient {
			return open(t, config)
		}
		return hasty(t, config.Directory, "", registry.Config{})
	}
	p.spoilBy(spoil)
	config := evidence.Config{Directory: t.TempDir()}
	keeper := begin(config)
	check(t, fetched(t, keeper, named, image), want)
	keeper.Close()
	p.spoilBy(nil)
	if got := fetched(t, open(t, config), named, image); got.State != policy.Found || got.Bundles != 1 {
		t.Errorf("the next try: %+v", got)
	}

	p.sign(t, "app", image, signed(1))
	p.spoilBy(spoil)
	config = evidence.Config{Directory: t.TempDir()}
	keeper = begin(config)
	got := fetched(t, keeper, named, image)
	if !got.Partial || got.Signatures != 1 || got.Bundles != 0 || !strings.Contains(got.Detail, want) {
		t.Errorf("with a signature in addition: %+v\nlacks %q", got, want)
	}
	keeper.Close()
	p.spoilBy(nil)
	keeper = open(t, config)
	got = fetched(t, keeper, named, image)
	if got.Signatures != 1 || got.Bundles != 1 || got.Partial || got.Detail != "" {
		t.Errorf("with a signature in addition, the next try: %+v", got)
	}
	p.spoilBy(spoil)
	keeper.Close()
	if again := fetched(t, begin(config), named, image); again.Signatures != 1 || again.Bundles != 1 {
		t.Errorf("and failing again: %+v", again)
	}
}

func TestWhereTheReferrersAPIIsNotThereTheFallbackTagSaysWhatThereIs(t *testing.T) {
	image := manifestOf("image")
	for name, spoiled := range map[string]http.HandlerFunc{
		"404":           status(http.StatusNotFound),
		"400":           status(http.StatusBadRequest),
		"405":           status(http.StatusMethodNotAllowed),
		"406":           status(http.StatusNotAcceptable),
		"415":           status(http.StatusUnsupportedMediaType),
		"501":           status(http.StatusNotImplemented),
		"a page":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome</html>")) },
		"without types": func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := pusher{testRegistry: newRegistry(t), t: t}
			keeper := open(t, evidence.Config{})
			p.spoilBy(endsWith("/referrers/", spoiled))
			if got := fetched(t, keeper, p.named(t, "app"), image); got.State != policy.None {
				t.Errorf("without the tag: %+v", got)
			}
			p.spoilBy(nil)
			p.list(image, p.attach(image, referrer{content: statement(signs, 1), predicate: signs}))
			p.spoilBy(endsWith("/referrers/", spoiled))
			if got := fetched(t, keeper, p.named(t, "app"), image); got.Bundles != 1 {
				t.Errorf("with the tag: %+v", got)
			}
		})
	}
}
