package evidence_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	memory "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

func TestAFetchWhoseTimeRunsOutGoesOnAtTheNextTry(t *testing.T) {
	p := pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(false)), t: t}
	m := manifestOf("image")
	var listed []ocispec.Descriptor
	for i := range 40 {
		one := p.attach(m, referrer{content: statement(attests, i)})
		one.Annotations = nil
		listed = append(listed, one)
	}
	p.list(m, listed...)
	var answered, running, most atomic.Int32
	p.spoilBy(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if strings.Contains(r.URL.Path, "/blobs/") && answered.Add(1) > 20 {
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	keeper := hasty(t, "", "", registry.Config{})
	p.asked()
	failed := fetched(t, keeper, p.named(t, "app"), m)
	check(t, failed, "of 40 referrers were read, and the next fetch continues from there")
	var read int
	_, text, _ := strings.Cut(failed.Detail, "a fetch may take: ")
	if _, err := fmt.Sscanf(text, "%d of 40", &read); err != nil || read > 20 {
		t.Fatalf("%d were read (%v): %s", read, err, failed.Detail)
	}
	if most.Load() > 8 {
		t.Errorf("%d requests ran at once, more than 8", most.Load())
	}
	p.asked()
	p.spoilBy(nil)
	got := fetched(t, keeper, p.named(t, "app"), m)
	if got.State != policy.None {
		t.Fatalf("the next try: %+v", got)
	}
	if again := blobs(p.asked()); len(again) > 40-read {
		t.Errorf("the next try asked for %d blobs, and %d were lacking", len(again), 40-read)
	}
}

func blobs(requests []string) []string {
	return slices.DeleteFunc(requests, func(r string) bool { return !strings.Contains(r, "/blobs/") })
}
