package evidence_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/registry"
)

func TestALookasideThatFailsIsNotOneWithNothing(t *testing.T) {
	m := manifestOf("image")
	for name, test := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"has a fault":           {status(http.StatusInternalServerError), "500 Internal Server Error"},
		"forbids":               {status(http.StatusForbidden), "403 Forbidden"},
		"wants to be left":      {status(http.StatusTooManyRequests), "429 Too Many Requests"},
		"resets":                {reset, "closed before the end"},
		"hangs":                 {hang, "no answer within the time"},
		"is slow":               {slow, "no answer within the time"},
		"announces 2 GiB":       {announce(2 << 30), "the maximum is 4194304"},
		"redirects to the link": {redirect("http://169.254.169.254/x"), "redirects to 169.254.169.254"},
		"sends us in a circle":  {func(w http.ResponseWriter, r *http.Request) { redirect(r.URL.Path)(w, r) }, "redirects"},
		"serves something else": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "-1") {
				_, _ = w.Write([]byte("<html>sign in</html>"))
				return
			}
			w.WriteHeader(http.StatusNotFound)
		}, "can be read: signature-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t)
			server := httptest.NewServer(test.serve)
			t.Cleanup(server.Close)
			keeper := open(t, lookedBeside(t, server.URL))
			if strings.Contains(test.want, "within the time") {
				keeper = hasty(t, "", lookasideAt(t, server.URL), registry.Config{})
			}
			check(t, fetched(t, keeper, r.named(t, "app"), m), test.want)
			r.sign(t, "app", m, signed(1))
			keeper = open(t, lookedBeside(t, server.URL))
			if strings.Contains(test.want, "within the time") {
				keeper = hasty(t, "", lookasideAt(t, server.URL), registry.Config{})
			}
			got := fetched(t, keeper, r.named(t, "app"), m)
			if got.State != policy.Found || got.Signatures != 1 || !strings.Contains(got.Detail, test.want) {
				t.Errorf("with a signature in the registry: %+v", got)
			}
		})
	}
}

func TestARegistriesDThatCannotBeReadIsAFailure(t *testing.T) {
	r, m := newRegistry(t), manifestOf("image")
	for content, want := range map[string]string{
		"\t": "reading where signatures lie, in",
		"default-docker: {lookaside: 's3://x/y'}": "neither file nor http nor https",
	} {
		config := evidence.Config{Fetcher: fetch.New(fetch.Config{Lookaside: registriesD(t, content)})}
		check(t, fetched(t, open(t, config), r.named(t, "app"), m), want)
	}
}

func TestALookasideThatIsNoFileDoesNotKeepUsWaiting(t *testing.T) {
	root, r, m := t.TempDir(), newRegistry(t), manifestOf("image")
	leave(t, root, m, openPGP(1))
	path := filepath.Join(root, "app@sha256="+m.Encoded(), "signature-1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	check(t, fetched(t, open(t, lookedBeside(t, "file://"+root)), r.named(t, "app"), m), "is not a regular file")
}

func TestARegistryThatFailsBesideALookasideTakesNothingAway(t *testing.T) {
	root, r, m := t.TempDir(), newRegistry(t), manifestOf("image")
	leave(t, root, m, openPGP(1))
	r.sign(t, "app", m, signed(2))
	keeper, named := open(t, lookedBeside(t, "file://"+root)), r.named(t, "app")
	before := fetched(t, keeper, named, m)
	r.spoilBy(always(http.StatusBadGateway))
	if after := fetched(t, keeper, named, m); after != before || after.Signatures != 2 {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}
