package compile_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
)

// TestPoliciesAddScopesToTheTransportDockerOnly: OpenShift's operator also writes them to the transport atomic, which
// containerd does not use. Other transports of the system policy stay as they are.
func TestPoliciesAddScopesToTheTransportDockerOnly(t *testing.T) {
	const reject = `[{"type":"reject"}]`
	for system, others := range map[string]string{
		"without transports":             `{}`,
		"with the transport atomic":      `{"atomic":{"corp.example":` + reject + `}}`,
		"with an empty transport atomic": `{"atomic":{}}`,
		"with several transports":        `{"atomic":{"":` + reject + `},"docker-daemon":{"":` + reject + `}}`,
	} {
		t.Run("a system policy "+system, func(t *testing.T) {
			policies := layers{
				system: `{"default":[{"type":"insecureAcceptAnything"}],"transports":` + others + `}`,
				cluster: []v1alpha1.ClusterImagePolicy{
					cluster("c", spec(root(v1alpha1.RejectType), "docker.io", "corp.example/a")),
				},
				namespaced: []v1alpha1.ImagePolicy{namespaced("n", spec(signed(newKey(t)), "quay.io/team"))},
			}
			ofCluster, ofNamespace := policies.compile(t)
			for _, document := range [][]byte{ofCluster.JSON, ofNamespace.JSON} {
				want, got := transports(t, []byte(`{"transports":`+others+`}`)), transports(t, document)
				if got["docker"] == nil {
					t.Errorf("the policies are not in the document:\n%s", document)
				}
				delete(got, "docker")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("the transports other than docker (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// transports returns the scopes of each transport of a document.
func transports(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var parsed struct {
		Transports map[string]any `json:"transports"`
	}
	if err := json.Unmarshal(document, &parsed); err != nil {
		t.Fatalf("document %s: %v", document, err)
	}
	return parsed.Transports
}
