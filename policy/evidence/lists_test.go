package evidence_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

func TestReferrersAreReadPageByPage(t *testing.T) {
	image := manifestOf("image")
	for name, test := range map[string]struct {
		link, want string
		bundles    int
	}{
		"relative":                 {`<?page=%d>; rel="next"`, "", 3},
		"absolute":                 {`<HOST/v2/app/referrers/x?page=%d>; rel=next`, "", 3},
		"among others":             {`<x>; rel="prev", <?page=%d>; title=x; rel="next"`, "", 3},
		"with a comma in it":       {`<x,y>; rel="prev", <?last=a,b&page=%d>; rel="next"`, "", 3},
		"of another relation":      {`<?page=%d>; rel="last"`, "", 1},
		"not in its form":          {`?page=%d; rel="next"`, "", 1},
		"to another host":          {`<http://127.0.0.2:1/?page=%d>; rel="next"`, "leads to another host", 0},
		"to the link":              {`<http://169.254.169.254/?page=%d>; rel="next"`, "leads to another host", 0},
		"to no URL":                {`<://%d>; rel="next"`, "of its referrers is not a URL", 0},
		"to a page that is absent": {`<?page=1%d>; rel="next"`, "page 2 of its referrers is not there", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := pusher{testRegistry: newRegistry(t), t: t}
			var pages []string
			for i := range 3 {
				of := p.attach(image, referrer{content: statement(signs, i), predicate: signs})
				pages = append(pages, fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"digest":%q,"size":%d}]}`, of.Digest, of.Size))
			}
			p.spoilBy(onlyFor("/referrers/", func(w http.ResponseWriter, r *http.Request) {
				page := 0
				_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
				if page >= len(pages) {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				if page < len(pages)-1 {
					link := fmt.Sprintf(test.link, page+1)
					w.Header().Set("Link", strings.Replace(link, "HOST", p.server.URL, 1))
				}
				serveIndex(pages[page])(w, r)
			}))
			got := fetched(t, open(t, evidence.Config{}), p.named(t, "app"), image)
			if test.want != "" {
				check(t, got, test.want)
			} else if got.Bundles != test.bundles || got.Detail != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAListOfReferrersWithoutEndIsNotReadToItsEnd(t *testing.T) {
	image := manifestOf("image")
	p := pusher{testRegistry: newRegistry(t), t: t}
	of := p.attach(image, referrer{content: statement(signs, 1), predicate: signs})
	p.spoilBy(onlyFor("/referrers/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", `<?again>; rel="next"`)
		serveIndex(fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"digest":%q,"size":%d}]}`, of.Digest, of.Size))(w, r)
	}))
	got := fetched(t, open(t, evidence.Config{}), p.named(t, "app"), image)
	if got.Bundles != 1 || !strings.Contains(got.Detail, "because there are too many") {
		t.Errorf("%+v", got)
	}
	if asked := len(p.asked()); asked > 50 {
		t.Errorf("asked %d times", asked)
	}
}

// The first thousand possible bundles are read, without those that the list identifies as attestations.
func TestOfTenThousandReferrersAThousandAreLookedAt(t *testing.T) {
	image := manifestOf("image")
	p := pusher{testRegistry: newRegistry(t), t: t}
	good := p.attach(image, referrer{content: statement(signs, 1), predicate: signs})
	var list strings.Builder
	_, _ = fmt.Fprintf(&list, `{"schemaVersion":2,"manifests":[{"digest":%q,"size":%d}`, good.Digest, good.Size)
	for i := range 10_000 {
		predicate := signs
		if i >= 999 {
			predicate = attests
		}
		_, _ = fmt.Fprintf(&list, `,{"digest":%q,"size":9,"annotations":{"dev.sigstore.bundle.predicateType":%q}}`,
			manifestOf(fmt.Sprint(i)), predicate)
	}
	list.WriteString("]}")
	p.spoilBy(onlyFor("/referrers/", serveIndex(list.String())))
	// A thousand requests, which take a busy machine longer than a fetch may.
	keeper := open(t, reaching(registry.Config{Timeout: time.Hour}))
	got := fetched(t, keeper, p.named(t, "app"), image)
	if got.Bundles != 1 || !strings.Contains(got.Detail, "999 bundles were left out") {
		t.Errorf("%+v", got)
	}
	if asked := len(p.asked()); asked > 1100 {
		t.Errorf("asked %d times", asked)
	}
}
