package daemon

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// counted are requests that are counted.
type counted struct {
	registryRequests
	registries namedRegistries
}

func newCounted() *counted {
	c := &counted{}
	c.metrics, c.named = metrics.New(nil), c.registries.by
	return c
}

// series returns the lines of /metrics about requests to registries.
func (c *counted) series() (lines []string) {
	answer := httptest.NewRecorder()
	c.metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "countersign_registry_requests_total{") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

func (c *counted) want(t *testing.T, wanted ...string) {
	t.Helper()
	got := strings.Join(c.series(), "\n")
	for _, line := range wanted {
		if !strings.Contains(got+"\n", "countersign_registry_requests_total"+line+"\n") {
			t.Errorf("there is no %s in\n%s", line, got)
		}
	}
}

// TestOnlyRegistriesThatDocumentsNameHaveASeries: a tenant who pulls from a thousand registries makes no thousand
// series.
func TestOnlyRegistriesThatDocumentsNameHaveASeries(t *testing.T) {
	c := newCounted()
	c.count("registry.example", registry.ResultOK) // No document has been read.
	c.registries.update(&policy.Set{
		System:     document("*.wild.example"),
		Namespaces: map[string]policy.Source{"prod": document("registry.example/team/app:v1", "other.example:5000")},
	})
	for _, name := range []string{"registry.example", "other.example:5000", "a.wild.example", "minted.example"} {
		c.count(name, registry.ResultTimeout)
	}
	c.registries.update(nil)
	c.count("registry.example", registry.ResultTimeout)
	c.want(t,
		`{registry="other",result="ok"} 1`,
		`{registry="other",result="timeout"} 3`,
		`{registry="registry.example",result="timeout"} 1`,
		`{registry="other.example:5000",result="timeout"} 1`,
	)
}

// TestSeriesAreLimitedOverTime: a tenant that keeps changing a document can name any number of registries.
func TestSeriesAreLimitedOverTime(t *testing.T) {
	c := newCounted()
	for i := range 1000 {
		minted := fmt.Sprintf("minted-%d.example", i)
		c.registries.update(&policy.Set{Namespaces: map[string]policy.Source{"evil": document(minted)}})
		c.count(minted, registry.ResultOK)
	}
	others := len(registry.Results())
	if got := len(c.series()) - others; got > maxSeriesOfNamespace {
		t.Errorf("there are series of %d registries, more than %d", got, maxSeriesOfNamespace)
	}
	c.want(t, `{registry="minted-999.example",result="ok"} 1`)
}

// TestTheSystemPolicysRegistriesHaveASeries: regardless of what namespaces' documents name.
func TestTheSystemPolicysRegistriesHaveASeries(t *testing.T) {
	c := newCounted()
	namespaces := map[string]policy.Source{}
	for i := range 300 {
		namespaces[fmt.Sprintf("evil-%d", i)] = document(fmt.Sprintf("minted-%d.example", i))
	}
	c.registries.update(&policy.Set{System: document("good.example"), Namespaces: namespaces})
	for i := range 300 {
		c.count(fmt.Sprintf("minted-%d.example", i), registry.ResultOK)
	}
	c.count("good.example", registry.ResultOK)
	c.want(t, `{registry="good.example",result="ok"} 1`)
	if got := len(c.series()) - len(registry.Results()); got != maxSeriesOfNamespace+1 {
		t.Errorf("there are series of %d registries", got)
	}
}
