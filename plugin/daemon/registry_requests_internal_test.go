package daemon

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// TestOnlyRegistriesThatDocumentsNameHaveASeries: a tenant who pulls from a thousand registries does not create a
// thousand series.
func TestOnlyRegistriesThatDocumentsNameHaveASeries(t *testing.T) {
	counted := metrics.New(nil)
	set := &policy.Set{}
	requests := &registryRequests{metrics: counted, documents: func() *policy.Set { return set }}
	requests.count("registry.example", registry.ResultOK) // No document has been read.
	set = &policy.Set{
		System: policy.Source{Document: &policy.Document{Scopes: map[string][]*policy.Requirement{"*.wild.example": nil}}},
		Namespaces: map[string]policy.Source{"prod": {Document: &policy.Document{
			Scopes: map[string][]*policy.Requirement{"registry.example/team/app:v1": nil, "other.example:5000": nil},
		}}},
	}
	for _, name := range []string{"registry.example", "other.example:5000", "a.wild.example", "minted.example"} {
		requests.count(name, registry.ResultTimeout)
	}
	set = &policy.Set{}
	requests.count("registry.example", registry.ResultTimeout)

	answer := httptest.NewRecorder()
	counted.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	for _, line := range []string{
		`countersign_registry_requests_total{registry="other",result="ok"} 1`,
		`countersign_registry_requests_total{registry="other",result="timeout"} 3`,
		`countersign_registry_requests_total{registry="registry.example",result="timeout"} 1`,
		`countersign_registry_requests_total{registry="other.example:5000",result="timeout"} 1`,
	} {
		if !strings.Contains(answer.Body.String(), line+"\n") {
			t.Errorf("there is no %s in\n%s", line, answer.Body.String())
		}
	}
}
